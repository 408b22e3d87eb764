"""Generated scenes of sprites, 64 pixels: a million to train on; the class of those to measure on is where the odd one is."""

from mmssl.datasets import DrawSampler, EvalView, ImageDataset, MultiView, RankBatchSampler, SpriteScenes, View

_whole = dict(type=View, size=64, scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0)
train_dataloader = dict(
    batch_size=24,
    num_workers=4,
    persistent_workers=True,
    dataset=dict(
        type=ImageDataset,
        source=dict(type=SpriteScenes, num=1_000_000, objects=5, side=64),
        views=dict(type=MultiView, counts=[1], views=[_whole]),
    ),
    sampler=dict(type=DrawSampler),
    batch_sampler=dict(type=RankBatchSampler),
)

_plain = dict(type=EvalView, resize=64, crop=64)
evaluation = dict(
    gallery=dict(
        type=ImageDataset,
        source=dict(type=SpriteScenes, num=10_000, objects=4, side=64, odd=True, truth=True, seed=1),
        views=_plain,
    ),
    query=dict(
        type=ImageDataset,
        source=dict(type=SpriteScenes, num=2_000, objects=4, side=64, odd=True, truth=True, seed=2),
        views=_plain,
    ),
    batch_size=100,
    num_workers=4,
)
