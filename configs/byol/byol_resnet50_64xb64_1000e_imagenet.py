"""BYOL, 1,000 epochs, batch 4096 (the paper's recipe; 74.3 % linear in the paper)."""

from mmengine.config import read_base

from mmssl.engine.hooks import ScheduleHook
from mmssl.models import BYOL, DataPreprocessor, MLPNeck, ResNet

with read_base():
    from .._base_.datasets.imagenet_byol import *
    from .._base_.default_runtime import *
    from .._base_.schedules.lars_cosine_1000e import *

_projection = dict(type=MLPNeck, hidden_channels=4096, out_channels=256, last_bias=False)
model = dict(
    type=BYOL,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=ResNet, depth=50, zero_init_residual=True),
    neck=dict(_projection, in_channels=2048),
    predictor=dict(_projection, in_channels=256),
    momentum=0.996,
)
sync_bn = 'torch'
train_dataloader.update(batch_size=64)
optim_wrapper['optimizer'].update(lr=3.2, weight_decay=1.5e-6)
param_scheduler.update(end_factor=0.0)
custom_hooks = [dict(type=ScheduleHook, attribute='teacher.momentum', start=0.996, end=1.0)]
auto_scale_lr.update(base_batch_size=4096)
