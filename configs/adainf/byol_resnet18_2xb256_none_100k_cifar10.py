"""BYOL on CIFAR-10 without generated images: AdaInf's baseline (its authors' recipe; 92.46 % linear in their table)."""

from mmengine.config import read_base

from mmssl.engine.hooks import ScheduleHook
from mmssl.models import BYOL, DataPreprocessor, MLPNeck, ResNet

with read_base():
    from .._base_.datasets.cifar10 import *
    from .._base_.default_runtime import *
    from .._base_.schedules.lars_cosine_100k import *
    from .._base_.views.strong_asymmetric import *

model = dict(
    type=BYOL,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.31, 122.96, 113.86], std=[62.99, 62.09, 66.71]),
    backbone=dict(type=ResNet, depth=18, stem='small'),
    neck=dict(type=MLPNeck, in_channels=512, hidden_channels=4096, out_channels=256),
    predictor=dict(type=MLPNeck, in_channels=256, hidden_channels=4096, out_channels=256),
    momentum=0.99,
)
sync_bn = 'torch'
train_dataloader.update(batch_size=256, num_workers=8)
train_dataloader['dataset'].update(views=strong_asymmetric)
optim_wrapper['optimizer'].update(lr=1.0, weight_decay=1e-5)
param_scheduler.update(warmup_factor=3e-5 / 1.0)
custom_hooks = [dict(type=ScheduleHook, attribute='teacher.momentum', start=0.99, end=1.0)]
default_hooks['checkpoint'].update(interval=10_000, by_epoch=False)
