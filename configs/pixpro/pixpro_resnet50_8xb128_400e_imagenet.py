"""PixPro, 400 epochs, batch 1,024, no instance branch (the authors' recipe; 60.2 AP on VOC07+12)."""

from mmengine.config import read_base

with read_base():
    from .pixpro_resnet50_8xb128_100e_imagenet import *

train_cfg.update(max_epochs=400)
