"""PixPro for two cores: a narrow ResNet-10, maps of 4 x 4 pixels, with the instance branch.

With plain SGD at the learning rate of the other CPU configs, all pixels became the same; with LARS they do not.
"""

from mmengine.config import read_base

from mmssl.engine.hooks import ScheduleHook
from mmssl.engine.optimizers import FacebookLARS
from mmssl.models import ConvMLPNeck, DataPreprocessor, PixelPropagation, PixPro, ResNet

with read_base():
    from .._base_.datasets.cifar10_boxes import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine import *

model = dict(
    type=PixPro,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26]),
    backbone=dict(type=ResNet, depth=10, stem='small', base_channels=16),
    neck=dict(type=ConvMLPNeck, in_channels=128, hidden_channels=256, out_channels=64),
    propagation=dict(type=PixelPropagation, channels=64),
    instance_neck=dict(type=ConvMLPNeck, in_channels=128, hidden_channels=256, out_channels=64),
    instance_predictor=dict(type=ConvMLPNeck, in_channels=64, hidden_channels=256, out_channels=64),
    instance_weight=1.0,
    momentum=0.99,
)
custom_hooks = [dict(type=ScheduleHook, attribute='teacher.momentum', start=0.99, end=1.0, curve='cosine', ahead=1)]
train_dataloader['dataset']['views']['views'][0].update(jitter=(0.8, 0.8, 0.8, 0.2))
optim_wrapper.update(optimizer=dict(type=FacebookLARS, lr=3.0, momentum=0.9, weight_decay=1e-5, eps=1e-8))
default_hooks['checkpoint'].update(interval=1)
default_hooks['online_knn'].update(interval=1)
