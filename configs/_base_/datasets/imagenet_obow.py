"""ImageNet as OBoW's authors show it: the whole image for the teacher, 2 crops of 160 pixels and 5 patches of 96."""

from mmengine.config import read_base

from mmssl.datasets import EvalView, MultiView, PatchGrid, View

with read_base():
    from .imagenet import *

_view = dict(jitter=(0.4, 0.4, 0.4, 0.1), jitter_prob=0.8, gray_prob=0.2)
train_dataloader['dataset'].update(
    views=dict(
        type=MultiView,
        counts=[1, 2, 1],
        views=[
            dict(type=EvalView, resize=256, crop=224, flip=0.5),
            dict(_view, type=View, size=160, scale=(0.08, 0.6), blur_prob=0.5, blur_sigma=(0.1, 2.0)),
            dict(_view, type=PatchGrid, size=256, patch=96, jitter=24, grid=3, count=5, scale=(0.6, 1.0)),
        ],
    )
)
