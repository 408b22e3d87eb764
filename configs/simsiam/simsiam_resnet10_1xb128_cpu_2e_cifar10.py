"""SimSiam for two cores: a narrow ResNet-10, two views of 32 pixels."""

from mmengine.config import read_base

from mmssl.models import DataPreprocessor, MLPNeck, ResNet, SimSiam

with read_base():
    from .._base_.datasets.cifar10_two_views import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine import *

model = dict(
    type=SimSiam,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26]),
    backbone=dict(type=ResNet, depth=10, stem='small', base_channels=16),
    neck=dict(
        type=MLPNeck,
        in_channels=128,
        hidden_channels=512,
        out_channels=512,
        num_layers=3,
        last_batch_norm=True,
        last_affine=False,
        bias=False,
    ),
    predictor=dict(type=MLPNeck, in_channels=512, hidden_channels=128, out_channels=512, bias=False, last_bias=True),
)
optim_wrapper.update(paramwise_cfg=dict(custom_keys={'predictor': dict(fix_lr=True)}))
optim_wrapper['optimizer'].update(lr=0.3)
default_hooks['checkpoint'].update(interval=1)
default_hooks['online_knn'].update(interval=1)
