"""MoCo v3 on a ViT-S/16, 300 epochs, batch 4096 (the authors' recipe; 73.2 % linear in their table)."""

from mmengine.config import read_base

from mmssl.engine.hooks import ScheduleHook
from mmssl.models import DataPreprocessor, MLPNeck, MoCoV3, TimmBackbone

with read_base():
    from .._base_.datasets.imagenet_byol import *
    from .._base_.default_runtime import *
    from .._base_.schedules.adamw_cosine_300e import *

for _crop in train_dataloader['dataset']['views']['views']:
    _crop.update(interpolation='bilinear')
_layers = dict(
    type=MLPNeck, hidden_channels=4096, out_channels=256, last_batch_norm=True, last_affine=False, bias=False
)
model = dict(
    type=MoCoV3,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(
        type=TimmBackbone,
        name='vit_small_patch16_224',
        num_heads=12,
        weight_init='moco',
        fixed_positions=True,
        fixed_patches=True,
    ),
    neck=dict(_layers, in_channels=384, num_layers=3),
    predictor=dict(_layers, in_channels=256),
    momentum=0.99,
    temperature=0.2,
)
sync_bn = 'torch'
train_dataloader.update(batch_size=128)
optim_wrapper.pop('paramwise_cfg')  # everything decays
custom_hooks = [dict(type=ScheduleHook, attribute='teacher.momentum', start=0.99, end=1.0, ahead=1)]
