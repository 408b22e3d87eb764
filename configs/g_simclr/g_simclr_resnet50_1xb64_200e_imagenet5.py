"""G-SimCLR on five classes of ImageNet, 200 epochs, batch 64, 64 pseudo-classes (after the released notebooks).

The pseudo-classes are made by
``mmssl cluster work_dirs/denoising_autoencoder_convnet_1xb64_100e_imagenet5 --clusters 64``.
"""

from mmengine.config import read_base
from torch.optim import SGD

from mmssl.datasets import MultiView, PseudoClassSampler, View
from mmssl.engine import EpochLoop, WarmupCosineLR
from mmssl.engine.optimizers import OptimWrapper
from mmssl.models import DataPreprocessor, MLPNeck, ResNet, SimCLR

with read_base():
    from .._base_.datasets.imagenet5 import *
    from .._base_.default_runtime import *

_view = dict(
    type=View,
    size=224,
    scale=(1.0, 1.0),
    ratio=(1.0, 1.0),
    jitter=(0.8, 0.8, 0.8, 0.2),
    jitter_prob=0.8,
    gray_prob=0.2,
)
train_dataloader['dataset'].update(views=dict(type=MultiView, counts=[2], views=[_view]))
train_dataloader.update(
    batch_size=64,
    sampler=dict(
        type=PseudoClassSampler,
        labels='work_dirs/denoising_autoencoder_convnet_1xb64_100e_imagenet5/pseudo_classes.npz',
        strict=False,
        shuffle=False,
    ),
)
model = dict(
    type=SimCLR,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=ResNet, depth=50),
    neck=dict(type=MLPNeck, in_channels=2048, hidden_channels=(256, 128), out_channels=50, batch_norm=False),
    temperature=0.1,
)
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=SGD, lr=0.1))
param_scheduler = dict(type=WarmupCosineLR, convert_to_iter_based=True)
train_cfg = dict(type=EpochLoop, max_epochs=200)
auto_scale_lr = dict(base_batch_size=64, enable=False)
