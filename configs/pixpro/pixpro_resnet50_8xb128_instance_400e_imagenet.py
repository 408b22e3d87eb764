"""PixPro with its instance branch, 400 epochs, batch 1,024 (the paper's; the weight 1 is reported second-hand)."""

from mmengine.config import read_base

with read_base():
    from .pixpro_resnet50_8xb128_instance_100e_imagenet import *

train_cfg.update(max_epochs=400)
