"""Barlow Twins, 300 epochs, batch 2048 (OpenMMLab's recipe; 71.8 % linear in mmselfsup's table)."""

from mmengine.config import read_base

with read_base():
    from .barlow_twins_resnet50_8xb256_1000e_imagenet import *

param_scheduler.update(warmup_factor=1e-4)
train_cfg.update(max_epochs=300)
