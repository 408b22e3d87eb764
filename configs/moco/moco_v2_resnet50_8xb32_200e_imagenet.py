"""MoCo v2, 200 epochs, batch 256 (the authors' recipe; 67.7 % linear in their table)."""

from mmengine.config import read_base

from mmssl.models import DataPreprocessor, MLPNeck, MoCo, Queue, ResNet

with read_base():
    from .._base_.datasets.imagenet_moco_v2 import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine_200e import *

model = dict(
    type=MoCo,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=ResNet, depth=50),
    neck=dict(type=MLPNeck, in_channels=2048, hidden_channels=2048, out_channels=128, batch_norm=False),
    queue=dict(type=Queue, length=65536, dim=128),
    momentum=0.999,
    temperature=0.2,
)
