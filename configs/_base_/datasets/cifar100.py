"""CIFAR-100 as torchvision stores it; the config that inherits it defines the training views."""

from mmssl.datasets import DrawSampler, EvalView, ImageDataset, RankBatchSampler, TorchvisionSource

train_dataloader = dict(
    batch_size=128,
    num_workers=4,
    persistent_workers=True,
    dataset=dict(type=ImageDataset, source=dict(type=TorchvisionSource, name='cifar100', root='data')),
    sampler=dict(type=DrawSampler),
    batch_sampler=dict(type=RankBatchSampler),
)

_plain = dict(type=EvalView, resize=32, crop=32)
evaluation = dict(
    gallery=dict(type=ImageDataset, source=dict(type=TorchvisionSource, name='cifar100', root='data'), views=_plain),
    query=dict(
        type=ImageDataset, source=dict(type=TorchvisionSource, name='cifar100', root='data', split='test'), views=_plain
    ),
    batch_size=256,
    num_workers=2,
)
