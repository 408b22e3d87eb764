"""ImageNet in 2 crops of 224 and 8 of 96 pixels: the views of DINO for transformers."""

from mmengine.config import read_base

from mmssl.datasets import MultiView, View

with read_base():
    from .imagenet import *

_view = dict(
    type=View,
    jitter=(0.4, 0.4, 0.2, 0.1),
    jitter_prob=0.8,
    gray_prob=0.2,
    blur_sigma=(0.1, 2.0),
    interpolation='bicubic',
)
train_dataloader['dataset'].update(
    views=dict(
        type=MultiView,
        counts=[1, 1, 8],
        views=[
            dict(_view, size=224, scale=(0.4, 1.0), blur_prob=1.0),
            dict(_view, size=224, scale=(0.4, 1.0), blur_prob=0.1, solarize_prob=0.2),
            dict(_view, size=96, scale=(0.05, 0.4), blur_prob=0.5),
        ],
    )
)
