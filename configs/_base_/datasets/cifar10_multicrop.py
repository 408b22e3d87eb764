"""CIFAR-10 as class folders, in 2 crops of 32 and 3 of 20 pixels."""

from mmssl.datasets import (
    DrawSampler,
    EvalView,
    ImageDataset,
    ImageFolder,
    MultiView,
    RankBatchSampler,
    View,
)

_view = dict(type=View, flip=0.5, jitter=(0.4, 0.4, 0.4, 0.1), jitter_prob=0.8, gray_prob=0.2)
train_dataloader = dict(
    batch_size=128,
    num_workers=1,
    persistent_workers=True,
    dataset=dict(
        type=ImageDataset,
        source=dict(type=ImageFolder, root='data/cifar10/train'),
        views=dict(
            type=MultiView,
            counts=[2, 3],
            views=[dict(_view, size=32, scale=(0.3, 1.0)), dict(_view, size=20, scale=(0.08, 0.3))],
        ),
    ),
    sampler=dict(type=DrawSampler),
    batch_sampler=dict(type=RankBatchSampler),
)

evaluation = dict(
    gallery=dict(
        type=ImageDataset,
        source=dict(type=ImageFolder, root='data/cifar10/train'),
        views=dict(type=EvalView, resize=32, crop=32),
    ),
    query=dict(
        type=ImageDataset,
        source=dict(type=ImageFolder, root='data/cifar10/test'),
        views=dict(type=EvalView, resize=32, crop=32),
    ),
    batch_size=256,
    num_workers=2,
)
