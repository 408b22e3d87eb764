"""DIUL on PACS, 1,000 epochs, batch 255; art_painting is unseen. Our own recipe, which nobody has trained."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.domains_two_views import *
    from .._base_.default_runtime import *
    from .._base_.models.diul_resnet18 import *
    from .._base_.schedules.sgd_cosine_200e import *

_sources = dict(root='data/PACS/kfold', classes='pacs', domains=['cartoon', 'photo', 'sketch'])
train_dataloader['dataset']['source'].update(_sources)
evaluation['gallery']['source'].update(_sources)
evaluation['query']['source'].update(_sources, domains=['art_painting'])
train_cfg.update(max_epochs=1000)
default_hooks['checkpoint'].update(interval=100)
default_hooks['online_knn'].update(interval=100)
