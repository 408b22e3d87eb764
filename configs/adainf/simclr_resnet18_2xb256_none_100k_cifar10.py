"""SimCLR on CIFAR-10 without generated images: AdaInf's baseline (its authors' recipe; 91.56 % linear in their table)."""

from mmengine.config import read_base

from mmssl.models import DataPreprocessor, MLPNeck, ResNet, SimCLR

with read_base():
    from .._base_.datasets.cifar10 import *
    from .._base_.default_runtime import *
    from .._base_.schedules.lars_cosine_100k import *
    from .._base_.views.strong_symmetric import *

model = dict(
    type=SimCLR,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.31, 122.96, 113.86], std=[62.99, 62.09, 66.71]),
    backbone=dict(type=ResNet, depth=18, stem='small'),
    neck=dict(type=MLPNeck, in_channels=512, hidden_channels=2048, out_channels=256, batch_norm=False),
    temperature=0.2,
)
sync_bn = 'torch'
train_dataloader.update(batch_size=256, num_workers=8)
train_dataloader['dataset'].update(views=strong_symmetric)
default_hooks['checkpoint'].update(interval=10_000, by_epoch=False)
