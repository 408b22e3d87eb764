"""Hallucinator on MoCo v2, CIFAR-10, 500 epochs, batch 512 (the authors' recipe, with a queue that CIFAR-10 can fill).

Their queue of 65,536 keys would hold images twice.
"""

from mmengine.config import read_base

from mmssl.datasets import CentreView, MultiView
from mmssl.models import DataPreprocessor, Hallucinator, MLPNeck, MoCo, Queue, ResNet

with read_base():
    from .._base_.datasets.cifar10_two_views import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine_200e import *

model = dict(
    type=MoCo,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26]),
    backbone=dict(type=ResNet, depth=18, stem='small'),
    neck=dict(type=MLPNeck, in_channels=512, hidden_channels=512, out_channels=128, batch_norm=False),
    queue=dict(type=Queue, length=49152, dim=128),
    momentum=0.999,
    temperature=0.2,
    additions=[dict(type=Hallucinator, dim=128)],
)
_any = train_dataloader['dataset']['views']['views'][0]
train_dataloader['dataset']['views'] = dict(type=MultiView, counts=[1, 1], views=[dict(_any, type=CentreView), _any])
train_dataloader.update(batch_size=512)
optim_wrapper['optimizer'].update(lr=0.5)
param_scheduler.update(end_factor=0.1)
train_cfg.update(max_epochs=500)
auto_scale_lr.update(base_batch_size=512)
