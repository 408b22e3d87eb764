"""ImageNet in 2 crops of 224 pixels with jitter, gray and blur: the views of MoCo v2 and of InvP with the MLP head."""

from mmengine.config import read_base

from mmssl.datasets import MultiView, View

with read_base():
    from .imagenet import *

_view = dict(
    type=View,
    size=224,
    scale=(0.2, 1.0),
    jitter=(0.4, 0.4, 0.4, 0.1),
    jitter_prob=0.8,
    gray_prob=0.2,
    blur_prob=0.5,
    blur_sigma=(0.1, 2.0),
)
train_dataloader['dataset'].update(views=dict(type=MultiView, counts=[2], views=[_view]))
