"""Million-way instance classification for two cores: a narrow ResNet-10, a table of 2,500 images."""

from mmengine.config import read_base

from mmssl.models import ClassTable, DataPreprocessor, InstanceClassification, MLPNeck, ResNet

with read_base():
    from .._base_.datasets.cifar10_subset import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine import *

model = dict(
    type=InstanceClassification,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26]),
    backbone=dict(type=ResNet, depth=10, stem='small', base_channels=16),
    neck=dict(type=MLPNeck, in_channels=128, hidden_channels=512, out_channels=64, batch_norm=False),
    table=dict(type=ClassTable, dim=64, start='features', num_hard=10),
    temperature=0.15,
    smoothing=0.2,
)
train_dataloader['dataset']['source'].update(num=2500)
train_dataloader['dataset']['views'].update(counts=[1])
optim_wrapper['optimizer'].update(lr=0.1)
train_cfg.update(max_epochs=40)
default_hooks['checkpoint'].update(interval=10)
default_hooks['online_knn'].update(interval=10)
