"""InvP for two cores: a narrow ResNet-10; neighbours count from the 17th of 40 epochs on, 2,500 images."""

from mmengine.config import read_base

from mmssl.engine.hooks import ScheduleHook
from mmssl.models import DataPreprocessor, FeatureBank, InvP, MLPNeck, ResNet

with read_base():
    from .._base_.datasets.cifar10_subset import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine import *

model = dict(
    type=InvP,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26]),
    backbone=dict(type=ResNet, depth=10, stem='small', base_channels=16),
    neck=dict(type=MLPNeck, in_channels=128, hidden_channels=512, out_channels=64),
    bank=dict(type=FeatureBank, dim=64, momentum=0.5, num_neighbors=4),
    num_background=1024,
    num_positives=20,
    steps=3,
    temperature=0.2,
    invariance_weight=0.6,
)
custom_hooks = [
    dict(type=ScheduleHook, attribute='invariance_weight', start=0.0, end=0.6, curve='jump', until=16, by_epoch=True)
]
train_dataloader['dataset']['source'].update(num=2500)
train_dataloader['dataset']['views'].update(counts=[1])
optim_wrapper['optimizer'].update(lr=0.1)
train_cfg.update(max_epochs=40)
default_hooks['checkpoint'].update(interval=10)
default_hooks['online_knn'].update(interval=10)
