"""Small networks on the last two frozen stages, as in RotNet, for two cores: CIFAR-10, 5 epochs."""

from mmengine.config import read_base

from mmssl.models import ResNet

with read_base():
    from .rotnet_nonlinear_nin_1xb128_100e_cifar10 import *

protocol = (
    'RotNet non-linear for two cores: 3 convolutions or layers, SGD, rate 0.1, steps of 0.2 at 2, 3 and 4, 5 epochs'
)

model['data_preprocessor'].update(cifar10_preprocessor)
model['backbone'] = dict(type=ResNet, **cifar10_backbone)
model['classifiers'] = dict(stage3='convolutions', stage4='mlp')
param_scheduler.update(milestones=[2, 3, 4])
train_cfg.update(max_epochs=5)
