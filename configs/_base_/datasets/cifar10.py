"""CIFAR-10 as class folders; the config that inherits it defines the training views."""

from mmssl.datasets import DrawSampler, EvalView, ImageDataset, ImageFolder, RankBatchSampler

train_dataloader = dict(
    batch_size=128,
    num_workers=1,
    persistent_workers=True,
    dataset=dict(type=ImageDataset, source=dict(type=ImageFolder, root='data/cifar10/train')),
    sampler=dict(type=DrawSampler),
    batch_sampler=dict(type=RankBatchSampler),
)

_plain = dict(type=EvalView, resize=32, crop=32)
evaluation = dict(
    gallery=dict(type=ImageDataset, source=dict(type=ImageFolder, root='data/cifar10/train'), views=_plain),
    query=dict(type=ImageDataset, source=dict(type=ImageFolder, root='data/cifar10/test'), views=_plain),
    batch_size=256,
    num_workers=2,
)
