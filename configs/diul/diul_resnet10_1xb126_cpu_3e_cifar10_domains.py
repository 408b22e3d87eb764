"""DIUL for two cores: a narrow ResNet-10, three renderings of CIFAR-10 as domains, a queue of 1,280 keys for each."""

from mmengine.config import read_base

from mmssl.models import DIUL, DataPreprocessor, DomainQueue, MLPNeck, ResNet

with read_base():
    from .._base_.datasets.cifar10_domains import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine import *

model = dict(
    type=DIUL,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26]),
    backbone=dict(type=ResNet, depth=10, stem='small', base_channels=16),
    neck=dict(type=MLPNeck, in_channels=128, hidden_channels=512, out_channels=64, batch_norm=False),
    queue=dict(type=DomainQueue, length=1280, dim=64, num_domains=3),
    momentum=0.99,
    temperature=0.2,
)
train_cfg.update(max_epochs=3)
default_hooks['checkpoint'].update(interval=1)
default_hooks['online_knn'].update(interval=1)
