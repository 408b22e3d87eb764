"""Linear classification as in MAE: batch norm before the layer, LARS, rate 6.4, warm-up, 90 epochs, batch 16384."""

from mmengine.config import read_base

from mmssl.engine.optimizers import FacebookLARS
from mmssl.models import TimmBackbone

with read_base():
    from ._base_.classification_linear import *

protocol = (
    'MAE linear: frozen backbone in eval mode, batch norm without weight and bias before the layer, LARS, rate 6.4, '
    '10 epochs of warm-up, cosine by step, 90 epochs, batch 16384'
)

model['backbone'] = dict(type=TimmBackbone, name='vit_base_patch16_224')
model.update(batch_norm=True)
train_dataloader.update(batch_size=1024)
train_dataloader['dataset']['views']['views'][0].update(interpolation='bicubic')
for part in ('gallery', 'query'):
    evaluation[part]['views'].update(interpolation='bicubic')
del part
optim_wrapper['optimizer'].update(type=FacebookLARS, lr=6.4)
param_scheduler.update(warmup=10, convert_to_iter_based=True)
train_cfg.update(max_epochs=90)
auto_scale_lr.update(base_batch_size=16384)
