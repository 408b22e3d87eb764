"""ImageNet as class folders; the config that inherits it defines the training views."""

from mmssl.datasets import DrawSampler, EvalView, ImageDataset, ImageFolder, RankBatchSampler

train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    dataset=dict(type=ImageDataset, source=dict(type=ImageFolder, root='data/imagenet/train')),
    sampler=dict(type=DrawSampler),
    batch_sampler=dict(type=RankBatchSampler),
)

_plain = dict(type=EvalView, resize=256, crop=224)
evaluation = dict(
    gallery=dict(type=ImageDataset, source=dict(type=ImageFolder, root='data/imagenet/train'), views=_plain),
    query=dict(type=ImageDataset, source=dict(type=ImageFolder, root='data/imagenet/val'), views=_plain),
    batch_size=256,
    num_workers=8,
)
