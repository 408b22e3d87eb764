"""Linear classification as in OBoW: SGD, rate 10, cosine by epoch to 0, 100 epochs, batch 1024."""

from mmengine.config import read_base

with read_base():
    from ._base_.classification_linear import *

protocol = 'OBoW linear: frozen backbone in eval mode, SGD, rate 10, cosine, 100 epochs, batch 1024'

train_dataloader.update(batch_size=128)
optim_wrapper['optimizer'].update(lr=10.0)
auto_scale_lr.update(base_batch_size=1024)
