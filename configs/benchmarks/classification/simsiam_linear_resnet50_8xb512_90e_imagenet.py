"""Linear classification as in SimSiam: LARS (apex's LARC), rate 1.6, cosine by epoch to 0, 90 epochs, batch 4096."""

from mmengine.config import read_base

from mmssl.engine.optimizers import ApexLARC

with read_base():
    from ._base_.classification_linear import *

protocol = 'SimSiam linear: frozen backbone in eval mode, LARS, rate 1.6, cosine, 90 epochs, batch 4096'

train_dataloader.update(batch_size=512)
optim_wrapper['optimizer'].update(type=ApexLARC, lr=1.6)
train_cfg.update(max_epochs=90)
auto_scale_lr.update(base_batch_size=4096)
