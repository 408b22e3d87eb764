"""Linear classification on iNaturalist 2018 with VISSL's settings: Nesterov, rate 0.01, steps, 84 epochs, batch 256."""

from mmengine.config import read_base
from mmengine.optim import MultiStepLR

with read_base():
    from ._base_.classification_linear import *
    from ._base_.inaturalist18 import *

protocol = 'VISSL settings, iNaturalist 2018, averaged features: SGD, rate 0.01, steps at 24, 48 and 72, 84 epochs'

model.update(num_classes=8142, batch_norm=True)
train_dataloader['dataset']['source'] = inaturalist_train
evaluation['gallery']['source'] = inaturalist_train
evaluation['query']['source'] = inaturalist_val
optim_wrapper['optimizer'].update(lr=0.01, weight_decay=5e-4, nesterov=True)
param_scheduler = dict(type=MultiStepLR, milestones=[24, 48, 72], gamma=0.1)
train_cfg.update(max_epochs=84)
sync_bn = True
