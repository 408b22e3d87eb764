"""Any folder of photographs without labels, in 2 crops of 128 pixels."""

from mmssl.datasets import DrawSampler, EvalView, ImageDataset, ImageFolder, MultiView, RankBatchSampler, View

_source = dict(type=ImageFolder, root='data/images', labels=False)
_view = dict(type=View, size=128, scale=(0.2, 1.0), jitter=(0.4, 0.4, 0.4, 0.1), jitter_prob=0.8, gray_prob=0.2)

train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    dataset=dict(type=ImageDataset, source=_source, views=dict(type=MultiView, counts=[2], views=[_view])),
    sampler=dict(type=DrawSampler),
    batch_sampler=dict(type=RankBatchSampler),
)

evaluation = dict(
    gallery=dict(type=ImageDataset, source=_source, views=dict(type=EvalView, resize=128, crop=128)),
    batch_size=64,
    num_workers=0,
)
