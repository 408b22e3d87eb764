"""SimCLR on Tiny ImageNet ten times and a million generated images, in weak views: AdaInf (48.36 % linear by its authors)."""

from mmengine.config import read_base

with read_base():
    from .._base_.views.weak_symmetric import *
    from .simclr_resnet18_2xb256_vanilla_100k_tiny_imagenet import *

weak_symmetric['views'][0].update(size=64)
train_dataloader['dataset'].update(views=weak_symmetric)
train_dataloader['dataset']['source'].update(repeats=[10, 1])
