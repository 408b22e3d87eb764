"""SimSiam, 100 epochs, batch 256 (the authors' recipe; 68.3 % linear in mmselfsup's table)."""

from mmengine.config import read_base

from mmssl.models import DataPreprocessor, MLPNeck, ResNet, SimSiam

with read_base():
    from .._base_.datasets.imagenet_moco_v2 import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine_200e import *

model = dict(
    type=SimSiam,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=ResNet, depth=50, zero_init_residual=True),
    neck=dict(
        type=MLPNeck,
        in_channels=2048,
        hidden_channels=2048,
        out_channels=2048,
        num_layers=3,
        last_batch_norm=True,
        last_affine=False,
        bias=False,
    ),
    predictor=dict(type=MLPNeck, in_channels=2048, hidden_channels=512, out_channels=2048, bias=False, last_bias=True),
)
sync_bn = 'torch'
optim_wrapper.update(paramwise_cfg=dict(custom_keys={'predictor': dict(fix_lr=True)}))
optim_wrapper['optimizer'].update(lr=0.05)
train_cfg.update(max_epochs=100)
