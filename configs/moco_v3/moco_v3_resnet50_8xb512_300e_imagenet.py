"""MoCo v3, 300 epochs, batch 4096 (the authors' recipe; 72.8 % linear in their table)."""

from mmengine.config import read_base

from mmssl.engine.hooks import ScheduleHook
from mmssl.models import DataPreprocessor, MLPNeck, MoCoV3, ResNet

with read_base():
    from .._base_.datasets.imagenet_moco_v3 import *
    from .._base_.default_runtime import *
    from .._base_.schedules.lars_cosine_1000e import *

model = dict(
    type=MoCoV3,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=ResNet, depth=50, zero_init_residual=True),
    neck=dict(
        type=MLPNeck,
        in_channels=2048,
        hidden_channels=4096,
        out_channels=256,
        last_batch_norm=True,
        last_affine=False,
        bias=False,
    ),
    predictor=dict(type=MLPNeck, in_channels=256, hidden_channels=4096, out_channels=256, bias=False),
    momentum=0.99,
    temperature=1.0,
)
sync_bn = 'torch'
train_dataloader.update(batch_size=512)
optim_wrapper['optimizer'].update(lr=4.8)
param_scheduler.update(end_factor=0.0)
train_cfg.update(max_epochs=300)
custom_hooks = [dict(type=ScheduleHook, attribute='teacher.momentum', start=0.99, end=1.0, ahead=1)]
auto_scale_lr.update(base_batch_size=4096)
