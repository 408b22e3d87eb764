"""A linear classifier on the maxima of each stage, as in RotNet, for two cores: CIFAR-10, 10 epochs."""

from mmengine.config import read_base

with read_base():
    from .multistage_resnet10_1xb256_cpu_10e_cifar10 import *

protocol = (
    'RotNet linear for two cores: maxima of stem and 4 stages, SGD, rate 0.01, steps of 0.2 at 3, 6 and 8, 10 epochs'
)

# 4096, 4096, 3872, 4096 and 2048 numbers
model.update(pools=dict(stem=16, stage1=16, stage2=11, stage3=8, stage4=4), weight_std=None)
optim_wrapper['optimizer'].update(weight_decay=5e-4)
param_scheduler.update(milestones=[3, 6, 8], gamma=0.2)
