"""MoCo v3 for two cores: a narrow ResNet-10, two views of 32 pixels."""

from mmengine.config import read_base

from mmssl.engine.hooks import ScheduleHook
from mmssl.models import DataPreprocessor, MLPNeck, MoCoV3, ResNet

with read_base():
    from .._base_.datasets.cifar10_two_views import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine import *

model = dict(
    type=MoCoV3,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26]),
    backbone=dict(type=ResNet, depth=10, stem='small', base_channels=16),
    neck=dict(
        type=MLPNeck,
        in_channels=128,
        hidden_channels=512,
        out_channels=64,
        last_batch_norm=True,
        last_affine=False,
        bias=False,
    ),
    predictor=dict(type=MLPNeck, in_channels=64, hidden_channels=256, out_channels=64, bias=False),
    momentum=0.99,
    temperature=0.2,
)
train_dataloader.update(batch_size=256)
custom_hooks = [dict(type=ScheduleHook, attribute='teacher.momentum', start=0.99, end=1.0, ahead=1)]
auto_scale_lr.update(base_batch_size=256)
default_hooks['checkpoint'].update(interval=1)
default_hooks['online_knn'].update(interval=1)
