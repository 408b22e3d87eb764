"""Linear classification as in SwAV: SGD, rate 0.3, cosine by epoch to 0, 100 epochs, batch 256."""

from mmengine.config import read_base
from torch.optim import SGD

from mmssl.datasets import (
    DrawSampler,
    EvalView,
    ImageDataset,
    ImageFolder,
    MultiView,
    RankBatchSampler,
    View,
)
from mmssl.engine import EpochLoop, WarmupCosineLR
from mmssl.engine.optimizers import OptimWrapper
from mmssl.evaluation import LinearAccuracyHook
from mmssl.models import DataPreprocessor, LinearClassifier, ResNet

with read_base():
    from ..._base_.default_runtime import *

protocol = 'SwAV linear: frozen backbone in eval mode, SGD, rate 0.3, cosine, 100 epochs, batch 256'

model = dict(
    type=LinearClassifier,
    # the authors' .228, as in their pre-training
    data_preprocessor=dict(type=DataPreprocessor, mean=[123.675, 116.28, 103.53], std=[58.14, 57.12, 57.375]),
    backbone=dict(type=ResNet, depth=50),
    num_classes=1000,  # tools/benchmarks/classification/linear.py sets it from the data
)

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

optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=SGD, lr=0.3, momentum=0.9, weight_decay=1e-6))
param_scheduler = dict(type=WarmupCosineLR)
train_cfg = dict(type=EpochLoop, max_epochs=100)
auto_scale_lr = dict(base_batch_size=256, enable=False)
default_hooks.pop('online_knn')
custom_hooks = [dict(type=LinearAccuracyHook)]
