"""SimCLR on CIFAR-10 and a million generated images (AdaInf's authors; 91.38 % linear in their table)."""

from mmengine.config import read_base

from mmssl.datasets import ArraySource, Concat

with read_base():
    from .simclr_resnet18_2xb256_none_100k_cifar10 import *

_parts = [train_dataloader['dataset']['source'], dict(type=ArraySource, images='data/generated/cifar10.npz')]
train_dataloader['dataset']['source'] = dict(type=Concat, parts=_parts, repeats=[1, 1], size=32)
