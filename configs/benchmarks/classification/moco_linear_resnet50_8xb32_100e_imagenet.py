"""Linear classification as in MoCo: SGD, rate 30, a tenth of it from epochs 60 and 80, 100 epochs, batch 256."""

from mmengine.config import read_base
from mmengine.optim import MultiStepLR

with read_base():
    from .swav_linear_resnet50_8xb32_100e_imagenet import *

protocol = 'MoCo linear: frozen backbone in eval mode, SGD, rate 30, steps of 0.1 at 60 and 80, 100 epochs, batch 256'

model['data_preprocessor'].update(std=[58.395, 57.12, 57.375])
optim_wrapper['optimizer'].update(lr=30.0, weight_decay=0.0)
param_scheduler = dict(type=MultiStepLR, milestones=[60, 80], gamma=0.1)
