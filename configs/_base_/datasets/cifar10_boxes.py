"""CIFAR-10 in 2 crops of 32 pixels with their boxes."""

from mmengine.config import read_base

with read_base():
    from .cifar10_two_views import *

train_dataloader['dataset']['views'].update(boxes=True)
