"""Linear classification on Places205 with VISSL's settings: Nesterov, rate 0.01, steps, 14 epochs, batch 256."""

from mmengine.config import read_base
from mmengine.optim import MultiStepLR

with read_base():
    from ._base_.classification_linear import *
    from ._base_.places205 import *

protocol = 'VISSL settings, Places205, averaged features: SGD, rate 0.01, steps of 0.1 at 4, 8 and 12, 14 epochs'

model.update(num_classes=205, batch_norm=True)
train_dataloader['dataset']['source'] = places_train
evaluation['gallery']['source'] = places_train
evaluation['query']['source'] = places_val
optim_wrapper['optimizer'].update(lr=0.01, weight_decay=5e-4, nesterov=True)
param_scheduler = dict(type=MultiStepLR, milestones=[4, 8, 12], gamma=0.1)
train_cfg.update(max_epochs=14)
sync_bn = True
