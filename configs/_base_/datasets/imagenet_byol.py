"""ImageNet in 2 crops of 224 pixels; only the first is always blurred, only the second is solarized: the views of BYOL."""

from mmengine.config import read_base

from mmssl.datasets import MultiView, View

with read_base():
    from .imagenet import *

_view = dict(
    type=View,
    size=224,
    scale=(0.08, 1.0),
    jitter=(0.4, 0.4, 0.2, 0.1),
    jitter_prob=0.8,
    gray_prob=0.2,
    blur_sigma=(0.1, 2.0),
    interpolation='bicubic',
)
train_dataloader['dataset'].update(
    views=dict(
        type=MultiView,
        counts=[1, 1],
        views=[dict(_view, blur_prob=1.0), dict(_view, blur_prob=0.1, solarize_prob=0.2)],
    )
)
