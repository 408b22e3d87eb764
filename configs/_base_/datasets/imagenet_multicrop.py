"""ImageNet in 2 crops of 224 and 6 of 96 pixels, as in SwAV."""

from mmssl.datasets import (
    DrawSampler,
    EvalView,
    ImageDataset,
    ImageFolder,
    MultiView,
    RankBatchSampler,
    View,
)

_swav_view = dict(
    type=View,
    flip=0.5,
    jitter=(0.8, 0.8, 0.8, 0.2),
    jitter_prob=0.8,
    gray_prob=0.2,
    blur_prob=0.5,
    blur_sigma=(0.1, 2.0),
)
train_dataloader = dict(
    batch_size=64,
    num_workers=10,
    persistent_workers=True,
    pin_memory=True,
    dataset=dict(
        type=ImageDataset,
        source=dict(type=ImageFolder, root='data/imagenet/train'),
        views=dict(
            type=MultiView,
            counts=[2, 6],
            views=[
                dict(_swav_view, size=224, scale=(0.14, 1.0)),
                dict(_swav_view, size=96, scale=(0.05, 0.14)),
            ],
        ),
    ),
    sampler=dict(type=DrawSampler),
    batch_sampler=dict(type=RankBatchSampler),
)

evaluation = dict(
    gallery=dict(
        type=ImageDataset,
        source=dict(type=ImageFolder, root='data/imagenet/train'),
        views=dict(type=EvalView, resize=256, crop=224),
    ),
    query=dict(
        type=ImageDataset,
        source=dict(type=ImageFolder, root='data/imagenet/val'),
        views=dict(type=EvalView, resize=256, crop=224),
    ),
    batch_size=256,
    num_workers=10,
)
