"""Denoising autoencoder of G-SimCLR on CIFAR-10: three stages, batch 64 (the released notebooks, without early stopping)."""

from mmengine.config import read_base

from mmssl.datasets import MultiView, View
from mmssl.models import ConvDecoder, ConvEncoder, DataPreprocessor, DenoisingAutoencoder

with read_base():
    from .._base_.datasets.cifar10 import *
    from .._base_.default_runtime import *
    from .._base_.schedules.adam_100e import *

_whole = dict(type=View, size=32, scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0)
train_dataloader['dataset'].update(views=dict(type=MultiView, counts=[1], views=[_whole]))
train_dataloader.update(batch_size=64)
model = dict(
    type=DenoisingAutoencoder,
    data_preprocessor=dict(type=DataPreprocessor, mean=[0, 0, 0], std=[255, 255, 255]),
    backbone=dict(type=ConvEncoder, channels=(32, 64, 128)),
    decoder=dict(type=ConvDecoder, in_channels=128, channels=(128, 64, 32), sigmoid=True),
    noise=0.01,
)
