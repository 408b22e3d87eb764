"""Barlow Twins on CIFAR-10 without generated images: AdaInf's baseline (its authors' recipe; 91.24 % linear in their table)."""

from mmengine.config import read_base

from mmssl.models import BarlowTwins, DataPreprocessor, MLPNeck, ResNet

with read_base():
    from .._base_.datasets.cifar10 import *
    from .._base_.default_runtime import *
    from .._base_.schedules.lars_cosine_100k import *
    from .._base_.views.strong_asymmetric import *

model = dict(
    type=BarlowTwins,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.31, 122.96, 113.86], std=[62.99, 62.09, 66.71]),
    backbone=dict(type=ResNet, depth=18, stem='small'),
    neck=dict(type=MLPNeck, in_channels=512, hidden_channels=2048, out_channels=2048, num_layers=3),
    weight=0.0051,
    scale=0.1,
)
sync_bn = 'torch'
train_dataloader.update(batch_size=256, num_workers=8)
train_dataloader['dataset'].update(views=strong_asymmetric)
optim_wrapper['optimizer'].update(lr=0.3)
param_scheduler.update(warmup_factor=3e-5 / 0.3)
default_hooks['checkpoint'].update(interval=10_000, by_epoch=False)
