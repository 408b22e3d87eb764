"""Linear classification on small sets, after InvP's second linear script: rate 30, steps, 100 epochs, batch 256."""

from mmengine.config import read_base
from mmengine.optim import MultiStepLR

from mmssl.datasets import TorchvisionSource

with read_base():
    from ._base_.classification_linear import *

protocol = 'small set, linear: frozen backbone in eval mode, SGD, rate 30, steps of 0.2 at 40, 60 and 80, 100 epochs'

data_root = 'data'
train_dataloader.update(batch_size=256)
# the set is chosen by --dataset
train_dataloader['dataset']['source'] = dict(type=TorchvisionSource, name='cifar10', root='data', split='train')
evaluation['gallery']['source'] = dict(type=TorchvisionSource, name='cifar10', root='data', split='train')
evaluation['query']['source'] = dict(type=TorchvisionSource, name='cifar10', root='data', split='test')
optim_wrapper['optimizer'].update(lr=30.0)
param_scheduler = dict(type=MultiStepLR, milestones=[40, 60, 80], gamma=0.2)
