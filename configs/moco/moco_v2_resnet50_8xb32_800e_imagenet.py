"""MoCo v2, 800 epochs, batch 256 (the authors' recipe; 71.1 % linear in their table)."""

from mmengine.config import read_base

with read_base():
    from .moco_v2_resnet50_8xb32_200e_imagenet import *

train_cfg.update(max_epochs=800)
