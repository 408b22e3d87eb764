"""Barlow Twins, 300 epochs, batch 2048 (OpenMMLab's schedule with the authors' LARS; 71.8 % linear in mmselfsup's table)."""

from mmengine.config import read_base

with read_base():
    from .barlow_twins_resnet50_8xb256_1000e_imagenet import *

param_scheduler.update(warmup_factor=1.6e-4)
train_cfg.update(max_epochs=300)
optim_wrapper['optimizer'].update(weight_decay=1e-6 * 8)  # 8 processes there, see the recipe of 1,000 epochs
_slow = dict(lr_mult=0.024 / 8)
optim_wrapper.update(
    paramwise_cfg=dict(custom_keys={'bias': _slow, 'bn': _slow, 'downsample.1': _slow, 'neck.layers.norm': _slow})
)
