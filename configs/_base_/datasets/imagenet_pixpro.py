"""ImageNet in 2 crops of 224 pixels with their boxes, one always blurred and one rarely: BYOL's asymmetric views, as in PixPro."""

from mmengine.config import read_base

from mmssl.datasets import MultiView, View

with read_base():
    from .imagenet import *

_first = dict(
    type=View,
    size=224,
    scale=(0.08, 1.0),
    jitter=(0.4, 0.4, 0.2, 0.1),
    jitter_prob=0.8,
    gray_prob=0.2,
    blur_prob=1.0,
    blur_sigma=(0.1, 2.0),
)
_second = dict(**_first)
_second.update(blur_prob=0.1, solarize_prob=0.2)
train_dataloader['dataset'].update(views=dict(type=MultiView, counts=[1, 1], views=[_first, _second], boxes=True))
