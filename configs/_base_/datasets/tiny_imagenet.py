"""Tiny ImageNet as its archive unpacks; the config that inherits it defines the training views."""

from mmssl.datasets import DrawSampler, EvalView, ImageDataset, RankBatchSampler, TinyImageNet

train_dataloader = dict(
    batch_size=128,
    num_workers=4,
    persistent_workers=True,
    dataset=dict(type=ImageDataset, source=dict(type=TinyImageNet, root='data/tiny-imagenet-200')),
    sampler=dict(type=DrawSampler),
    batch_sampler=dict(type=RankBatchSampler),
)

_plain = dict(type=EvalView, resize=64, crop=64)
evaluation = dict(
    gallery=dict(type=ImageDataset, source=dict(type=TinyImageNet, root='data/tiny-imagenet-200'), views=_plain),
    query=dict(
        type=ImageDataset, source=dict(type=TinyImageNet, root='data/tiny-imagenet-200', split='val'), views=_plain
    ),
    batch_size=256,
    num_workers=2,
)
