"""A part of CIFAR-10 in 2 crops of 32 pixels: methods with a row per image see each image many times within minutes."""

from mmengine.config import read_base

from mmssl.datasets import ImageFolder, Subset

with read_base():
    from .cifar10_two_views import *

_whole = dict(type=ImageFolder, root='data/cifar10/train')
train_dataloader['dataset']['source'] = dict(type=Subset, num=10000, source=_whole)
