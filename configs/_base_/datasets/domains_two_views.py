"""A folder of domains in 2 crops of 224 pixels; the config that inherits it names sources and targets."""

from mmssl.datasets import (
    DomainBalancedSampler,
    DomainFolder,
    EvalView,
    ImageDataset,
    MultiView,
    RankBatchSampler,
    View,
)

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
_plain = dict(type=EvalView, resize=256, crop=224)

train_dataloader = dict(
    batch_size=255,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    dataset=dict(
        type=ImageDataset,
        source=dict(type=DomainFolder, root='data/domains'),
        views=dict(type=MultiView, counts=[2], views=[_view]),
    ),
    sampler=dict(type=DomainBalancedSampler),
    batch_sampler=dict(type=RankBatchSampler),
)
evaluation = dict(
    gallery=dict(type=ImageDataset, source=dict(type=DomainFolder, root='data/domains'), views=_plain),
    query=dict(type=ImageDataset, source=dict(type=DomainFolder, root='data/domains'), views=_plain),
    batch_size=256,
    num_workers=8,
)
