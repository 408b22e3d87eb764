"""SimCLR on CIFAR-100 ten times and a million generated images, in weak views: AdaInf (69.60 % linear by its authors)."""

from mmengine.config import read_base

with read_base():
    from .._base_.views.weak_symmetric import *
    from .simclr_resnet18_2xb256_vanilla_100k_cifar100 import *

train_dataloader['dataset'].update(views=weak_symmetric)
train_dataloader['dataset']['source'].update(repeats=[10, 1])
