"""CoKe with one view for two cores: a narrow ResNet-10, 10,000 images, ten epochs after one that only clusters."""

from mmengine.config import read_base

from mmssl.models import CoKe, ConstrainedClusters, DataPreprocessor, MLPNeck, ResNet

with read_base():
    from .._base_.datasets.cifar10_subset import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine import *

model = dict(
    type=CoKe,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26]),
    backbone=dict(type=ResNet, depth=10, stem='small', base_channels=16),
    neck=dict(type=MLPNeck, in_channels=128, hidden_channels=256, out_channels=64, last_batch_norm=True),
    predictor=dict(type=MLPNeck, in_channels=64, hidden_channels=256, out_channels=64),
    clusters=dict(type=ConstrainedClusters, dim=64, ratio=0.4, dual_rate=5.0),
    num_clusters=[100, 150, 200],
    large_views=1,
    temperature=0.1,
)
train_dataloader['batch_sampler'].update(drop_last=False)
train_dataloader['dataset']['views'].update(counts=[1])
param_scheduler.update(idle=1, warmup=1)
optim_wrapper['optimizer'].update(lr=0.1)
train_cfg.update(max_epochs=11)
default_hooks['checkpoint'].update(interval=2)
default_hooks['online_knn'].update(interval=2)
