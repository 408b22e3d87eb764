"""PIC for two cores: a narrow ResNet-10, a table of 2,500 images that starts from features, windows of 1,280 of them."""

from mmengine.config import read_base

from mmssl.datasets import ImageFolder, SlidingWindowSampler, Subset
from mmssl.models import ClassTable, DataPreprocessor, InstanceClassification, MLPNeck, ResNet

with read_base():
    from .._base_.datasets.cifar10_multicrop import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine import *

model = dict(
    type=InstanceClassification,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26]),
    backbone=dict(type=ResNet, depth=10, stem='small', base_channels=16),
    neck=dict(type=MLPNeck, in_channels=128, hidden_channels=512, out_channels=64, batch_norm=False),
    # Random rows, as in the paper, begin to learn too late for 40 draws of each image.
    table=dict(type=ClassTable, dim=64, start='features'),
    temperature=0.2,
    large_views=1,
)
train_dataloader['dataset']['source'] = dict(
    type=Subset, num=2500, source=dict(type=ImageFolder, root='data/cifar10/train')
)
train_dataloader.update(sampler=dict(type=SlidingWindowSampler, window=1280, stride=320))
train_dataloader['dataset']['views'].update(counts=[1, 3])
optim_wrapper['optimizer'].update(lr=0.1)
train_cfg.update(max_epochs=78)
default_hooks['checkpoint'].update(interval=20)
default_hooks['online_knn'].update(interval=20)
