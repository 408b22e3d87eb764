"""A linear classifier on each stage for Places205, as in OpenSelfSup and mmselfsup: steps, 28 epochs, batch 256."""

from mmengine.config import read_base

with read_base():
    from ._base_.multistage import *
    from ._base_.places205 import *

protocol = 'OpenSelfSup multi-stage linear, Places205: stem and 4 stages, SGD, rate 0.01, steps of 0.1 at 7, 14 and 21'

model.update(num_classes=205)
train_dataloader['dataset']['source'] = places_train
evaluation['gallery']['source'] = places_train
evaluation['query']['source'] = places_val
param_scheduler.update(milestones=[7, 14, 21])
train_cfg.update(max_epochs=28)
