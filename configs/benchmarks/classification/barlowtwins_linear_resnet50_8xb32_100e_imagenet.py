"""Linear classification as in Barlow Twins: SGD, rate 0.3, cosine by epoch to 0, 100 epochs, batch 256."""

from mmengine.config import read_base

with read_base():
    from ._base_.classification_linear import *

protocol = 'Barlow Twins linear: frozen backbone in eval mode, SGD, rate 0.3, cosine, 100 epochs, batch 256'

optim_wrapper['optimizer'].update(weight_decay=1e-6)
