"""InvP with the MLP head and blur, 800 epochs, batch 128 (the authors' recipe; 71.3 % linear in their paper)."""

from mmengine.config import read_base

from mmssl.engine.hooks import ScheduleHook
from mmssl.models import DataPreprocessor, FeatureBank, InvP, MLPNeck, ResNet

with read_base():
    from .._base_.datasets.imagenet_moco_v2 import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine_200e import *

model = dict(
    type=InvP,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=ResNet, depth=50),
    neck=dict(type=MLPNeck, in_channels=2048, hidden_channels=2048, out_channels=128, batch_norm=False),
    bank=dict(type=FeatureBank, dim=128, momentum=0.5, num_neighbors=4),
    num_background=4096,
    num_positives=50,
    steps=3,
    temperature=0.2,
    invariance_weight=0.6,
    init_cfg=dict(type='Xavier', layer='Linear', distribution='uniform'),
)
custom_hooks = [
    dict(type=ScheduleHook, attribute='invariance_weight', start=0.0, end=0.6, curve='jump', until=30, by_epoch=True)
]
train_dataloader['dataset']['views'].update(counts=[1])
train_dataloader.update(batch_size=128)
param_scheduler.update(first=1, end=800)  # the authors count epochs from 1, and end before the 800th
train_cfg.update(max_epochs=799)
auto_scale_lr.update(base_batch_size=128)
