"""MoCo v3, 800 epochs, batch 4096 (OpenMMLab's schedule with the authors' LARS; 74.4 % linear in mmselfsup's table)."""

from mmengine.config import read_base

with read_base():
    from .moco_v3_resnet50_8xb512_300e_imagenet import *

model.update(momentum=0.996)
optim_wrapper['optimizer'].update(weight_decay=1.5e-6)
train_cfg.update(max_epochs=800)
custom_hooks[0].update(start=0.996)
