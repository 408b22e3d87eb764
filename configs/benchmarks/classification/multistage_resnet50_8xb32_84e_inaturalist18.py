"""A linear classifier on each stage for iNaturalist 2018, as in mmselfsup: steps, 84 epochs, batch 256."""

from mmengine.config import read_base

with read_base():
    from ._base_.multistage import *  # noqa: I001 - the data last: it replaces the first's
    from ._base_.inaturalist18 import *

protocol = 'mmselfsup multi-stage linear, iNaturalist 2018: stem and 4 stages, SGD, rate 0.01, steps at 24, 48 and 72'

model.update(num_classes=8142)
train_dataloader['dataset']['source'] = inaturalist_train
evaluation['gallery']['source'] = inaturalist_train
evaluation['query']['source'] = inaturalist_val
param_scheduler.update(milestones=[24, 48, 72])
train_cfg.update(max_epochs=84)
