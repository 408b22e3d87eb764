"""CIFAR-10 as class folders, on two cores; inherit it after the protocol, whose data and training views it replaces."""

from mmssl.datasets import DrawSampler, EvalView, ImageDataset, ImageFolder, MultiView, RankBatchSampler, View

data_root = 'data/cifar10'
train_dataloader = dict(
    batch_size=256,
    num_workers=2,
    persistent_workers=True,
    dataset=dict(
        type=ImageDataset,
        source=dict(type=ImageFolder, root='data/cifar10/train'),
        views=dict(type=MultiView, counts=[1], views=[dict(type=View, size=32, scale=(0.08, 1.0), flip=0.5)]),
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

cifar10_preprocessor = dict(mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26])
cifar10_backbone = dict(depth=10, stem='small', base_channels=16)
