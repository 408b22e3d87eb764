"""Radiographs with reports as a table, in ConVIRT's view: crop, flip, affine map, brightness and contrast, blur; 224 pixels."""

from mmssl.datasets import (
    DrawSampler,
    ImageDataset,
    MultiView,
    PaddedView,
    PairDataset,
    PairList,
    RankBatchSampler,
    View,
)

_reports = dict(type=PairList, file='data/mimic_cxr/train.csv', root='data/mimic_cxr')
_view = dict(
    type=View,
    size=224,
    scale=(0.6, 1.0),
    rotate=20.0,
    translate=0.1,
    zoom=(0.95, 1.05),
    jitter=(0.4, 0.4, 0.0, 0.0),
    jitter_prob=1.0,
    blur_prob=1.0,
    blur_sigma=(0.1, 3.0),
)

train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    dataset=dict(type=PairDataset, source=_reports, views=dict(type=MultiView, counts=[1], views=[_view])),
    sampler=dict(type=DrawSampler),
    batch_sampler=dict(type=RankBatchSampler),
)
evaluation = dict(
    gallery=dict(type=ImageDataset, source=_reports, views=dict(type=PaddedView, size=224)),
    batch_size=64,
    num_workers=8,
)
