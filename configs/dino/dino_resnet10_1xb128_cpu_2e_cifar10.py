"""DINO for two cores: a narrow ResNet-10, 2 views of 32 and 3 of 20 pixels."""

from mmengine.config import read_base

from mmssl.engine.hooks import GradientDropHook, ScheduleHook
from mmssl.models import DINO, Centre, DataPreprocessor, DINOHead, ResNet

with read_base():
    from .._base_.datasets.cifar10_multicrop import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine import *

model = dict(
    type=DINO,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26]),
    backbone=dict(type=ResNet, depth=10, stem='small', base_channels=16),
    head=dict(
        type=DINOHead, in_channels=128, num_prototypes=1024, hidden_channels=256, embedding_channels=64, batch_norm=True
    ),
    momentum=0.99,
    teacher_temperature=0.04,
    centre=dict(type=Centre, momentum=0.9),
)
optim_wrapper['optimizer'].update(lr=0.3)
custom_hooks = [
    dict(type=ScheduleHook, attribute='teacher.momentum', start=0.99, end=1.0),
    dict(type=GradientDropHook, parameters='head.last', steps=40),
]
default_hooks['checkpoint'].update(interval=1)
default_hooks['online_knn'].update(interval=1)
