"""Linear classification as in SwAV: SGD, rate 0.3, cosine by epoch to 0, 100 epochs, batch 256."""

from mmengine.config import read_base

with read_base():
    from ._base_.classification_linear import *

protocol = 'SwAV linear: frozen backbone in eval mode, SGD, rate 0.3, cosine, 100 epochs, batch 256'

# the authors' .228, as in their pre-training
model['data_preprocessor'].update(std=[58.14, 57.12, 57.375])
optim_wrapper['optimizer'].update(weight_decay=1e-6)
