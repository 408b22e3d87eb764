"""PixPro on a folder of a few hundred photographs, for two cores: a narrow ResNet-18 that MMDetection and MMSegmentation can load."""

from mmengine.config import read_base

from mmssl.engine.hooks import ScheduleHook
from mmssl.engine.optimizers import FacebookLARS
from mmssl.models import ConvMLPNeck, DataPreprocessor, PixelPropagation, PixPro, ResNet

with read_base():
    from .._base_.datasets.folder_two_views import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine import *

model = dict(
    type=PixPro,
    data_preprocessor=dict(type=DataPreprocessor, mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(type=ResNet, depth=18, base_channels=16),
    neck=dict(type=ConvMLPNeck, in_channels=128, hidden_channels=256, out_channels=64),
    propagation=dict(type=PixelPropagation, channels=64),
    instance_neck=dict(type=ConvMLPNeck, in_channels=128, hidden_channels=256, out_channels=64),
    instance_predictor=dict(type=ConvMLPNeck, in_channels=64, hidden_channels=256, out_channels=64),
    instance_weight=1.0,
    momentum=0.99,
)
custom_hooks = [dict(type=ScheduleHook, attribute='teacher.momentum', start=0.99, end=1.0, curve='cosine', ahead=1)]
train_dataloader['dataset']['views'].update(boxes=True)
train_dataloader['dataset']['views']['views'][0].update(jitter=(0.8, 0.8, 0.8, 0.2))
optim_wrapper.update(optimizer=dict(type=FacebookLARS, lr=0.75, momentum=0.9, weight_decay=1e-5, eps=1e-8))
train_cfg.update(max_epochs=60)
auto_scale_lr.update(base_batch_size=32)
default_hooks['checkpoint'].update(interval=20)
default_hooks['online_knn'].update(interval=20)
