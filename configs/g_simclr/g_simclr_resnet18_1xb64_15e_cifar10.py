"""G-SimCLR on CIFAR-10, 15 epochs, batch 64, 64 pseudo-classes (the released notebooks, with a ResNet-18 of half the width).

The pseudo-classes are made by
``mmssl cluster work_dirs/denoising_autoencoder_convnet_1xb64_100e_cifar10 --clusters 64``.
"""

from mmengine.config import read_base
from mmengine.optim.scheduler import CosineRestartLR
from torch.optim import SGD

from mmssl.datasets import MultiView, PseudoClassSampler, View
from mmssl.engine import EpochLoop
from mmssl.engine.optimizers import OptimWrapper
from mmssl.models import DataPreprocessor, MLPNeck, ResNet, SimCLR

with read_base():
    from .._base_.datasets.cifar10 import *
    from .._base_.default_runtime import *

_view = dict(type=View, size=32, scale=(1.0, 1.0), ratio=(1.0, 1.0), jitter=(0.16, 0.16, 0.16, 0.04), jitter_prob=0.5)
train_dataloader['dataset'].update(views=dict(type=MultiView, counts=[2], views=[_view]))
train_dataloader.update(
    batch_size=64,
    sampler=dict(
        type=PseudoClassSampler,
        labels='work_dirs/denoising_autoencoder_convnet_1xb64_100e_cifar10/pseudo_classes.npz',
        strict=False,
        shuffle=False,
    ),
)
model = dict(
    type=SimCLR,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26]),
    backbone=dict(type=ResNet, depth=18, stem='small', base_channels=32),
    neck=dict(type=MLPNeck, in_channels=256, hidden_channels=(256, 128), out_channels=50, batch_norm=False),
    temperature=0.1,
)
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=SGD, lr=0.1))
# Steps of the cosines, which double; the last one is longer than the run.
param_scheduler = dict(
    type=CosineRestartLR, periods=[1000, 2000, 4000, 8000], restart_weights=[1, 1, 1, 1], eta_min=0.0, by_epoch=False
)
train_cfg = dict(type=EpochLoop, max_epochs=15)
auto_scale_lr = dict(base_batch_size=64, enable=False)
