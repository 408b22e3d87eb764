"""MoCo v2 for two cores: a narrow ResNet-10, a queue of 4,096 keys."""

from mmengine.config import read_base

from mmssl.models import DataPreprocessor, MLPNeck, MoCo, Queue, ResNet

with read_base():
    from .._base_.datasets.cifar10_two_views import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine import *

model = dict(
    type=MoCo,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26]),
    backbone=dict(type=ResNet, depth=10, stem='small', base_channels=16),
    neck=dict(type=MLPNeck, in_channels=128, hidden_channels=512, out_channels=64, batch_norm=False),
    queue=dict(type=Queue, length=4096, dim=64),
    momentum=0.99,
    temperature=0.2,
)
default_hooks['checkpoint'].update(interval=1)
default_hooks['online_knn'].update(interval=1)
