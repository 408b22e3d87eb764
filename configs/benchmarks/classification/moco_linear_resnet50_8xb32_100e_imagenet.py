"""Linear classification as in MoCo: SGD, rate 30, a tenth of it from epochs 60 and 80, 100 epochs, batch 256."""

from mmengine.config import read_base
from mmengine.optim import MultiStepLR

with read_base():
    from ._base_.classification_linear import *

protocol = 'MoCo linear: frozen backbone in eval mode, SGD, rate 30, steps of 0.1 at 60 and 80, 100 epochs, batch 256'

optim_wrapper['optimizer'].update(lr=30.0)
param_scheduler = dict(type=MultiStepLR, milestones=[60, 80], gamma=0.1)
