"""Settings that the protocols on ImageNet share: data in one random crop, evaluation, and the measuring hook."""

from mmengine.config import read_base

from mmssl.datasets import (
    DrawSampler,
    EvalView,
    ImageDataset,
    ImageFolder,
    MultiView,
    RankBatchSampler,
    View,
)
from mmssl.engine import EpochLoop
from mmssl.evaluation import LinearAccuracyHook

with read_base():
    from ...._base_.default_runtime import *

data_root = 'data/imagenet'
train_dataloader = dict(
    batch_size=32,
    num_workers=10,
    persistent_workers=True,
    pin_memory=True,
    dataset=dict(
        type=ImageDataset,
        source=dict(type=ImageFolder, root='data/imagenet/train'),
        views=dict(type=MultiView, counts=[1], views=[dict(type=View, size=224, scale=(0.08, 1.0), flip=0.5)]),
    ),
    sampler=dict(type=DrawSampler),
    batch_sampler=dict(type=RankBatchSampler),
)
evaluation = dict(
    gallery=dict(
        type=ImageDataset,
        source=dict(type=ImageFolder, root='data/imagenet/train'),
        views=dict(type=EvalView, resize=256, crop=224),
    ),
    query=dict(
        type=ImageDataset,
        source=dict(type=ImageFolder, root='data/imagenet/val'),
        views=dict(type=EvalView, resize=256, crop=224),
    ),
    batch_size=256,
    num_workers=10,
)

train_cfg = dict(type=EpochLoop, max_epochs=100)
auto_scale_lr = dict(base_batch_size=256, enable=False)
for _hook in ('online_knn', 'collapse', 'clusters'):  # these are for pre-training
    default_hooks.pop(_hook)
custom_hooks = [dict(type=LinearAccuracyHook)]
