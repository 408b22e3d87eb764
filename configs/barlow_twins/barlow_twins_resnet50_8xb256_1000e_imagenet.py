"""Barlow Twins, 1,000 epochs, batch 2048 (the authors' recipe; 73.5 % linear in their table)."""

from mmengine.config import read_base

from mmssl.models import BarlowTwins, DataPreprocessor, MLPNeck, ResNet

with read_base():
    from .._base_.datasets.imagenet_byol import *
    from .._base_.default_runtime import *
    from .._base_.schedules.lars_cosine_1000e import *

model = dict(
    type=BarlowTwins,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=ResNet, depth=50, zero_init_residual=True),
    neck=dict(type=MLPNeck, in_channels=2048, hidden_channels=8192, out_channels=8192, num_layers=3, bias=False),
    weight=0.0051,
)
sync_bn = 'torch'
train_dataloader.update(batch_size=256)
# The authors' 16 processes give 1/16 of the gradient. LARS hides that, except from weight decay, which is 1e-6 there, and
# from biases and batch norm, whose rate is 0.024 of the other one.
optim_wrapper['optimizer'].update(weight_decay=1e-6 * 16)
_slow = dict(lr_mult=0.024 / 16)
optim_wrapper.update(
    paramwise_cfg=dict(custom_keys={'bias': _slow, 'bn': _slow, 'downsample.1': _slow, 'neck.layers.norm': _slow})
)
