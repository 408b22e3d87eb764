"""Denoising autoencoder of G-SimCLR on five classes of ImageNet: five stages of 5 x 5 convolutions, batch 64."""

from mmengine.config import read_base

from mmssl.datasets import MultiView, View
from mmssl.models import ConvDecoder, ConvEncoder, DataPreprocessor, DenoisingAutoencoder

with read_base():
    from .._base_.datasets.imagenet5 import *
    from .._base_.default_runtime import *
    from .._base_.schedules.adam_100e import *

_whole = dict(type=View, size=224, scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0)
train_dataloader['dataset'].update(views=dict(type=MultiView, counts=[1], views=[_whole]))
train_dataloader.update(batch_size=64)
model = dict(
    type=DenoisingAutoencoder,
    data_preprocessor=dict(type=DataPreprocessor, mean=[0, 0, 0], std=[255, 255, 255]),
    backbone=dict(type=ConvEncoder, channels=(64, 128, 256, 512, 1024), kernel_size=5),
    decoder=dict(type=ConvDecoder, in_channels=1024, channels=(1024, 512, 256, 128, 64), kernel_size=5, sigmoid=True),
    noise=0.01,
)
optim_wrapper['optimizer'].update(lr=1e-4)
