"""SimCLR, 200 epochs, batch 256 (OpenMMLab's recipe; 62.7 % linear in mmselfsup's table)."""

from mmengine.config import read_base

from mmssl.models import DataPreprocessor, MLPNeck, ResNet, SimCLR

with read_base():
    from .._base_.datasets.imagenet_simclr import *
    from .._base_.default_runtime import *
    from .._base_.schedules.lars_cosine_200e import *

model = dict(
    type=SimCLR,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=ResNet, depth=50, zero_init_residual=True),
    neck=dict(
        type=MLPNeck,
        in_channels=2048,
        hidden_channels=2048,
        out_channels=128,
        last_batch_norm=True,
        bias=False,
    ),
    temperature=0.1,
)
sync_bn = 'torch'
# batch norm of the neck
optim_wrapper['paramwise_cfg']['custom_keys'].update({'neck.layers.norm': dict(decay_mult=0.0, lars_exclude=True)})
