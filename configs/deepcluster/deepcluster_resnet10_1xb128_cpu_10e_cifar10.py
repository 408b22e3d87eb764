"""DeepCluster for two cores: a narrow ResNet-10, 100 clusters of 10,000 images, found again before every epoch."""

from mmengine.config import read_base

from mmssl.datasets import ClusterSampler
from mmssl.models import ClusterLabels, DataPreprocessor, DeepCluster, ODCNeck, ResNet

with read_base():
    from .._base_.datasets.cifar10_subset import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine import *

model = dict(
    type=DeepCluster,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26]),
    backbone=dict(type=ResNet, depth=10, stem='small', base_channels=16),
    neck=dict(type=ODCNeck, in_channels=128, hidden_channels=256, out_channels=128),
    clusters=dict(type=ClusterLabels, num_clusters=100, prepare_every=1, pca=64, iterations=20),
)
train_dataloader['dataset']['views'].update(counts=[1])
train_dataloader.update(sampler=dict(type=ClusterSampler))
optim_wrapper['optimizer'].update(lr=0.1)
optim_wrapper.update(paramwise_cfg=dict(custom_keys={'head': dict(momentum=0.0)}))
train_cfg.update(max_epochs=10)
default_hooks['checkpoint'].update(interval=2)
default_hooks['online_knn'].update(interval=2)
