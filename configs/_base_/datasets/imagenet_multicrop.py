"""ImageNet in 2 crops of 224 and 6 of 96 pixels, as in SwAV."""

from mmengine.config import read_base

from mmssl.datasets import MultiView, View

with read_base():
    from .imagenet import *

_view = dict(
    type=View,
    jitter=(0.8, 0.8, 0.8, 0.2),
    jitter_prob=0.8,
    gray_prob=0.2,
    blur_prob=0.5,
    blur_sigma=(0.1, 2.0),
)
train_dataloader.update(batch_size=64, num_workers=10)
train_dataloader['dataset'].update(
    views=dict(
        type=MultiView,
        counts=[2, 6],
        views=[dict(_view, size=224, scale=(0.14, 1.0)), dict(_view, size=96, scale=(0.05, 0.14))],
    )
)
