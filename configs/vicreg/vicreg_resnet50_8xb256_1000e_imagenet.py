"""VICReg, 1,000 epochs, batch 2048 (the authors' recipe; 73.2 % linear in their table)."""

from mmengine.config import read_base

from mmssl.models import DataPreprocessor, MLPNeck, ResNet, VICReg

with read_base():
    from .._base_.datasets.imagenet_byol import *
    from .._base_.default_runtime import *
    from .._base_.schedules.lars_cosine_1000e import *

model = dict(
    type=VICReg,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=ResNet, depth=50, zero_init_residual=True),
    neck=dict(type=MLPNeck, in_channels=2048, hidden_channels=8192, out_channels=8192, num_layers=3, last_bias=False),
    invariance=25.0,
    variance=25.0,
    covariance=1.0,
)
sync_bn = 'torch'
train_dataloader.update(batch_size=256)
