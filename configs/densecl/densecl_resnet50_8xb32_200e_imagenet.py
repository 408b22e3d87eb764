"""DenseCL, 200 epochs, batch 256 (mmselfsup's recipe; 63.5 % linear, 58.7 AP on VOC07+12)."""

from mmengine.config import read_base

from mmssl.models import ConvMLPNeck, DataPreprocessor, DenseCL, MLPNeck, Queue, ResNet

with read_base():
    from .._base_.datasets.imagenet_moco_v2 import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine_200e import *

model = dict(
    type=DenseCL,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=ResNet, depth=50),
    neck=dict(type=MLPNeck, in_channels=2048, hidden_channels=2048, out_channels=128, batch_norm=False),
    dense_neck=dict(type=ConvMLPNeck, in_channels=2048, hidden_channels=2048, out_channels=128, batch_norm=False),
    queue=dict(type=Queue, length=65536, dim=128),
    dense_weight=0.5,
    momentum=0.999,
    temperature=0.2,
)
