"""NPID, 200 epochs, batch 256, InfoNCE with 65,536 negatives (OpenMMLab's recipe; 58.3 % linear in mmselfsup's table)."""

from mmengine.config import read_base

from mmssl.models import NPID, DataPreprocessor, FeatureBank, MLPNeck, ResNet

with read_base():
    from .._base_.datasets.imagenet_moco_v1 import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_steps_200e import *

model = dict(
    type=NPID,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=ResNet, depth=50),
    neck=dict(type=MLPNeck, in_channels=2048, out_channels=128, num_layers=1),
    bank=dict(type=FeatureBank, dim=128, momentum=0.5),
    num_negatives=65536,
    temperature=0.07,
)
train_dataloader['dataset']['views'].update(counts=[1])
