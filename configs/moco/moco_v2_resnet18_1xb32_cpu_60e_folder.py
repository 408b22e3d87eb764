"""MoCo v2 on a folder of a few hundred photographs, for two cores: a narrow ResNet-18 that MMDetection and MMSegmentation can load."""

from mmengine.config import read_base

from mmssl.models import DataPreprocessor, MLPNeck, MoCo, Queue, ResNet

with read_base():
    from .._base_.datasets.folder_two_views import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine import *

model = dict(
    type=MoCo,
    data_preprocessor=dict(type=DataPreprocessor, mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(type=ResNet, depth=18, base_channels=16),
    neck=dict(type=MLPNeck, in_channels=128, hidden_channels=512, out_channels=64, batch_norm=False),
    queue=dict(type=Queue, length=192, dim=64),
    momentum=0.99,
    temperature=0.2,
)
optim_wrapper['optimizer'].update(lr=0.1)
train_cfg.update(max_epochs=60)
auto_scale_lr.update(base_batch_size=32)
default_hooks['checkpoint'].update(interval=20)
default_hooks['online_knn'].update(interval=20)
