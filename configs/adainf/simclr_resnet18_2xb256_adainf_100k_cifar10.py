"""SimCLR on CIFAR-10 ten times and a million generated images, in weak views: AdaInf (its authors; 93.42 % linear in their table)."""

from mmengine.config import read_base

with read_base():
    from .._base_.views.weak_symmetric import *
    from .simclr_resnet18_2xb256_vanilla_100k_cifar10 import *

train_dataloader['dataset'].update(views=weak_symmetric)
train_dataloader['dataset']['source'].update(repeats=[10, 1])
