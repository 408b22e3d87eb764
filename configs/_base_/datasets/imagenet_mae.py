"""ImageNet in one crop of 224 pixels, flipped at random: the view of MAE."""

from mmengine.config import read_base

from mmssl.datasets import MultiView, View

with read_base():
    from .imagenet import *

_view = dict(type=View, size=224, scale=(0.2, 1.0), interpolation='bicubic')
train_dataloader['dataset'].update(views=dict(type=MultiView, counts=[1], views=[_view]))
