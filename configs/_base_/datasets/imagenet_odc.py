"""ImageNet in 1 crop of 224 pixels, rotated by up to 2 degrees, with strong jitter: the views of ODC and DeepCluster."""

from mmengine.config import read_base

from mmssl.datasets import MultiView, View

with read_base():
    from .imagenet import *

_view = dict(
    type=View,
    size=224,
    scale=(0.08, 1.0),
    rotate=2.0,
    jitter=(0.4, 0.4, 1.0, 0.5),
    jitter_prob=1.0,
    gray_prob=0.2,
)
train_dataloader['dataset'].update(views=dict(type=MultiView, counts=[1], views=[_view]))
