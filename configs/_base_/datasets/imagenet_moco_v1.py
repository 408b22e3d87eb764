"""ImageNet in 2 crops of 224 pixels, gray before an unconditional jitter: the views of MoCo v1, NPID and InvP."""

from mmengine.config import read_base

from mmssl.datasets import MultiView, View

with read_base():
    from .imagenet import *

_view = dict(
    type=View,
    size=224,
    scale=(0.2, 1.0),
    gray_prob=0.2,
    gray_first=True,
    jitter=(0.4, 0.4, 0.4, 0.4),
    jitter_prob=1.0,
)
train_dataloader['dataset'].update(views=dict(type=MultiView, counts=[2], views=[_view]))
