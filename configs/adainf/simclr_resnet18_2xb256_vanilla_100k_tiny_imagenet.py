"""SimCLR on Tiny ImageNet and a million generated images (41.03 % linear by AdaInf's authors)."""

from mmengine.config import read_base

from mmssl.datasets import ArraySource, Concat

with read_base():
    from .simclr_resnet18_2xb256_none_100k_tiny_imagenet import *

_parts = [train_dataloader['dataset']['source'], dict(type=ArraySource, images='data/generated/tiny_imagenet.npz')]
train_dataloader['dataset']['source'] = dict(type=Concat, parts=_parts, repeats=[1, 1], size=64)
