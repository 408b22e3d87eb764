"""SimCLR on a folder of your own images, within minutes on two cores: a narrow ResNet-18 at 48 pixels.

MMDetection, MMSegmentation and torchvision's classes can load its backbone.
"""

from mmengine.config import read_base

from mmssl.models import DataPreprocessor, MLPNeck, ResNet, SimCLR

with read_base():
    from .._base_.datasets.folder_two_views import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine import *

model = dict(
    type=SimCLR,
    data_preprocessor=dict(type=DataPreprocessor, mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(type=ResNet, depth=18, base_channels=16, channels_last=True),
    neck=dict(type=MLPNeck, in_channels=128, hidden_channels=512, out_channels=64, last_batch_norm=True, bias=False),
    temperature=0.2,
)
train_dataloader.update(batch_size=128)
train_dataloader['dataset']['source'].update(labels=True)
train_dataloader['dataset']['views']['views'][0].update(size=48)
evaluation['gallery']['source'].update(labels=True)
evaluation['gallery']['views'].update(resize=48, crop=48)
evaluation.update(batch_size=256)
param_scheduler.update(warmup=6)
train_cfg.update(max_epochs=60)
default_hooks['checkpoint'].update(interval=10)
default_hooks['online_knn'].update(interval=10)
