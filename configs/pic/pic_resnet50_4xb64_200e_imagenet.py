"""PIC with one view, 200 epochs, batch 256 (the authors' recipe).

An epoch is a window of 131,072 images: 1,955 epochs are 200 passes over ImageNet, and 49 are the warm-up of 5 passes.
"""

from mmengine.config import read_base

from mmssl.datasets import SlidingWindowSampler
from mmssl.models import ClassTable, DataPreprocessor, InstanceClassification, MLPNeck, ResNet

with read_base():
    from .._base_.datasets.imagenet_simclr import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine_200e import *

model = dict(
    type=InstanceClassification,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=ResNet, depth=50),
    neck=dict(type=MLPNeck, in_channels=2048, hidden_channels=2048, out_channels=128, batch_norm=False),
    table=dict(type=ClassTable, dim=128, start='random', weight_decay=1e-4),
    temperature=0.2,
)
train_dataloader.update(batch_size=64, sampler=dict(type=SlidingWindowSampler, window=131072, stride=16384))
train_dataloader['dataset']['views'].update(counts=[1])
param_scheduler.update(warmup=49, warmup_factor=0.01, end_factor=1e-6 / 0.03, convert_to_iter_based=True)
train_cfg.update(max_epochs=1955)
