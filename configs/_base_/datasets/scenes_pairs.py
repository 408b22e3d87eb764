"""Scenes with reports of tools/dataset_tools/make_scenes.py, in one view of 32 pixels that keeps colours and places."""

from mmssl.datasets import (
    DrawSampler,
    EvalView,
    ImageDataset,
    MultiView,
    PairDataset,
    PairList,
    RankBatchSampler,
    View,
)

_train = dict(type=PairList, file='data/scenes/train.csv', root='data/scenes')
_test = dict(type=PairList, file='data/scenes/test.csv', root='data/scenes')
_view = dict(type=View, size=32, scale=(0.8, 1.0), flip=0.0, jitter=(0.2, 0.2, 0.0, 0.0), jitter_prob=1.0)
_plain = dict(type=EvalView, resize=32, crop=32)

train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    dataset=dict(type=PairDataset, source=_train, views=dict(type=MultiView, counts=[1], views=[_view])),
    sampler=dict(type=DrawSampler),
    batch_sampler=dict(type=RankBatchSampler),
)
evaluation = dict(
    gallery=dict(type=ImageDataset, source=_train, views=_plain),
    query=dict(type=ImageDataset, source=_test, views=_plain),
    batch_size=256,
    num_workers=2,
)
