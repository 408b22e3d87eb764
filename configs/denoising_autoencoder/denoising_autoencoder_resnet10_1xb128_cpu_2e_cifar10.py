"""Denoising autoencoder for two cores: a narrow ResNet-10, and a decoder that doubles its map three times."""

from mmengine.config import read_base
from torch.optim import Adam

from mmssl.datasets import MultiView, View
from mmssl.models import ConvDecoder, DataPreprocessor, DenoisingAutoencoder, ResNet

with read_base():
    from .._base_.datasets.cifar10 import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine import *

_whole = dict(type=View, size=32, scale=(1.0, 1.0), ratio=(1.0, 1.0))
train_dataloader['dataset'].update(views=dict(type=MultiView, counts=[1], views=[_whole]))
model = dict(
    type=DenoisingAutoencoder,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26]),
    backbone=dict(type=ResNet, depth=10, stem='small', base_channels=16),
    decoder=dict(type=ConvDecoder, in_channels=128, channels=(64, 32, 16)),
    noise=0.05,
)
optim_wrapper['optimizer'] = dict(type=Adam, lr=2e-3)
default_hooks['checkpoint'].update(interval=1)
default_hooks['online_knn'].update(interval=1)
