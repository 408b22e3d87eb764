"""Three fully connected layers on the second frozen block of a NIN, as in RotNet: CIFAR-10, steps, 100 epochs."""

from mmengine.config import read_base

with read_base():
    from .rotnet_nonlinear_nin_1xb128_100e_cifar10 import *

protocol = (
    'RotNet non-linear, CIFAR-10: 3 fully connected layers, SGD, rate 0.1, steps of 0.2 at 20, 40 and 45, 100 epochs'
)

model['classifiers'] = dict(block2='mlp')
param_scheduler.update(milestones=[20, 40, 45])
