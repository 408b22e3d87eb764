"""CIFAR-10 in 2 crops of 32 and 3 of 20 pixels."""

from mmengine.config import read_base

from mmssl.datasets import MultiView, View

with read_base():
    from .cifar10 import *

_view = dict(type=View, jitter=(0.4, 0.4, 0.4, 0.1), jitter_prob=0.8, gray_prob=0.2)
train_dataloader['dataset'].update(
    views=dict(
        type=MultiView,
        counts=[2, 3],
        views=[dict(_view, size=32, scale=(0.3, 1.0)), dict(_view, size=20, scale=(0.08, 0.3))],
    )
)
