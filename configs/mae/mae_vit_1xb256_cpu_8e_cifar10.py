"""MAE for two cores: a small ViT on 32 pixels in patches of 4."""

from mmengine.config import read_base

from mmssl.datasets import MultiView, View
from mmssl.models import MAE, DataPreprocessor, MAEDecoder, TimmBackbone

with read_base():
    from .._base_.datasets.cifar10 import *
    from .._base_.default_runtime import *
    from .._base_.schedules.adamw_cosine_300e import *

_view = dict(type=View, size=32, scale=(0.2, 1.0))
train_dataloader['dataset'].update(views=dict(type=MultiView, counts=[1], views=[_view]))
model = dict(
    type=MAE,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26]),
    backbone=dict(
        type=TimmBackbone,
        name='vit_tiny_patch16_224',
        img_size=32,
        patch_size=4,
        embed_dim=128,
        depth=6,
        num_heads=4,
        fixed_positions=True,
    ),
    decoder=dict(type=MAEDecoder, in_channels=128, patch_size=4, channels=64, depth=2, num_heads=4),
    mask_ratio=0.75,
)
train_dataloader.update(batch_size=256)
optim_wrapper['optimizer'].update(lr=2e-3, betas=(0.9, 0.95), weight_decay=0.05)
param_scheduler.update(warmup=1)
train_cfg.update(max_epochs=8)
auto_scale_lr.update(base_batch_size=256)
default_hooks['checkpoint'].update(interval=1)
default_hooks['online_knn'].update(interval=1)
