"""SimCLR on CIFAR-100 and a million generated images."""

from mmengine.config import read_base

from mmssl.datasets import ArraySource, Concat

with read_base():
    from .simclr_resnet18_2xb256_none_100k_cifar100 import *

_parts = [train_dataloader['dataset']['source'], dict(type=ArraySource, images='data/generated/cifar100.npz')]
train_dataloader['dataset']['source'] = dict(type=Concat, parts=_parts, repeats=[1, 1], size=32)
