"""Barlow Twins on CIFAR-10 ten times and a million generated images, in weak views: AdaInf (its authors; 93.64 % linear in their table)."""

from mmengine.config import read_base

with read_base():
    from .._base_.views.weak_asymmetric import *
    from .barlow_twins_resnet18_2xb256_vanilla_100k_cifar10 import *

train_dataloader['dataset'].update(views=weak_asymmetric)
train_dataloader['dataset']['source'].update(repeats=[10, 1])
