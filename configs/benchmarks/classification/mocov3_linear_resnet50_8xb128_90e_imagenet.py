"""Linear classification as in MoCo v3: SGD, rate 0.4, cosine by epoch to 0, 90 epochs, batch 1024."""

from mmengine.config import read_base

with read_base():
    from ._base_.classification_linear import *

protocol = 'MoCo v3 linear: frozen backbone in eval mode, SGD, rate 0.4, cosine, 90 epochs, batch 1024'

train_dataloader.update(batch_size=128)
optim_wrapper['optimizer'].update(lr=0.4)
train_cfg.update(max_epochs=90)
auto_scale_lr.update(base_batch_size=1024)
