"""Linear classification as in PIC: SGD, rate 30, cosine by step to 0, 100 epochs, batch 256."""

from mmengine.config import read_base

with read_base():
    from ._base_.classification_linear import *

protocol = 'PIC linear: frozen backbone in eval mode, SGD, rate 30, cosine by step, 100 epochs, batch 256'

optim_wrapper['optimizer'].update(lr=30.0)
param_scheduler.update(convert_to_iter_based=True)
