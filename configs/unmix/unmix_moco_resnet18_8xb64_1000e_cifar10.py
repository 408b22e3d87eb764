"""Un-Mix on MoCo, CIFAR-10, 1,000 epochs, batch 512 (the authors' recipe; k-NN 91.34 % in their table, 89.11 without).

Batch norm sees 64 images at a time, as in their code, which splits the batch on one GPU.
"""

from mmengine.config import read_base

from mmssl.models import DataPreprocessor, MLPNeck, MoCo, Queue, ResNet, UnMix

with read_base():
    from .._base_.datasets.cifar10_two_views import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine_200e import *

model = dict(
    type=MoCo,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26]),
    backbone=dict(type=ResNet, depth=18, stem='small'),
    neck=dict(type=MLPNeck, in_channels=512, out_channels=128, num_layers=1),
    queue=dict(type=Queue, length=4096, dim=128),
    momentum=0.99,
    temperature=0.1,
    additions=[dict(type=UnMix)],
)
train_dataloader['dataset']['views']['views'][0].update(scale=(0.08, 1.0))
train_dataloader.update(batch_size=64)
optim_wrapper['optimizer'].update(lr=0.06, weight_decay=5e-4)
train_cfg.update(max_epochs=1000)
auto_scale_lr.update(base_batch_size=512)
