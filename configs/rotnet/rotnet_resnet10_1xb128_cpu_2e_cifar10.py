"""RotNet for two cores: a narrow ResNet-10, four rotations of one crop of 32 pixels."""

from mmengine.config import read_base

from mmssl.datasets import MultiView, RandomCrop
from mmssl.models import DataPreprocessor, ResNet, RotNet

with read_base():
    from .._base_.datasets.cifar10 import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine import *

model = dict(
    type=RotNet,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26]),
    backbone=dict(type=ResNet, depth=10, stem='small', base_channels=16),
)
_view = dict(type=RandomCrop, size=32, padding=4)
train_dataloader['dataset'].update(views=dict(type=MultiView, counts=[1], views=[_view]))
optim_wrapper['optimizer'].update(lr=0.1)
default_hooks['checkpoint'].update(interval=1)
default_hooks['online_knn'].update(interval=1)
