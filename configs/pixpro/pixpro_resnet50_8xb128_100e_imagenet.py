"""PixPro, 100 epochs, batch 1,024, no instance branch (the authors' recipe; 58.8 AP on VOC07+12)."""

from mmengine.config import read_base

from mmssl.engine.hooks import ScheduleHook
from mmssl.models import ConvMLPNeck, DataPreprocessor, PixelPropagation, PixPro, ResNet

with read_base():
    from .._base_.datasets.imagenet_pixpro import *
    from .._base_.default_runtime import *
    from .._base_.schedules.lars_cosine_100e import *

model = dict(
    type=PixPro,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=ResNet, depth=50, zero_init_residual=True),
    neck=dict(type=ConvMLPNeck, in_channels=2048, hidden_channels=4096, out_channels=256),
    propagation=dict(type=PixelPropagation, channels=256, num_layers=1, sharpness=2.0),
    threshold=0.7,
    momentum=0.99,
)
sync_bn = True
train_dataloader.update(batch_size=128)
custom_hooks = [dict(type=ScheduleHook, attribute='teacher.momentum', start=0.99, end=1.0, curve='cosine', ahead=1)]
