"""BYOL, 200 epochs, batch 4096 (OpenMMLab's recipe; 71.8 % linear in mmselfsup's table)."""

from mmengine.config import read_base

from mmssl.engine.hooks import ScheduleHook
from mmssl.models import BYOL, DataPreprocessor, MLPNeck, ResNet

with read_base():
    from .._base_.datasets.imagenet_byol import *
    from .._base_.default_runtime import *
    from .._base_.schedules.lars_cosine_200e import *

_projection = dict(type=MLPNeck, hidden_channels=4096, out_channels=256, last_bias=False)
model = dict(
    type=BYOL,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=ResNet, depth=50, zero_init_residual=True),
    neck=dict(_projection, in_channels=2048),
    predictor=dict(_projection, in_channels=256),
    momentum=0.99,
)
sync_bn = 'torch'
train_dataloader.update(batch_size=256)
optim_wrapper['optimizer'].update(lr=4.8)
_plain = dict(decay_mult=0.0, lars_exclude=True)
optim_wrapper['paramwise_cfg']['custom_keys'].update(
    {'neck.layers.norm': dict(_plain), 'predictor.layers.norm': dict(_plain)}
)
custom_hooks = [dict(type=ScheduleHook, attribute='teacher.momentum', start=0.99, end=1.0, ahead=1)]
auto_scale_lr.update(base_batch_size=4096)
