"""MoCo v2+ on CIFAR-10 and a million generated images (AdaInf's authors; 92.51 % linear in their table)."""

from mmengine.config import read_base

from mmssl.datasets import ArraySource, Concat

with read_base():
    from .moco_v2_plus_resnet18_2xb256_none_100k_cifar10 import *

_parts = [train_dataloader['dataset']['source'], dict(type=ArraySource, images='data/generated/cifar10.npz')]
train_dataloader['dataset']['source'] = dict(type=Concat, parts=_parts, repeats=[1, 1], size=32)
