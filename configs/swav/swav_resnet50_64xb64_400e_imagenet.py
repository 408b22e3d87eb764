"""SwAV, 400 epochs, batch 4096 (the authors' recipe; 74.6 % linear in their table)."""

from mmengine.config import read_base

with read_base():
    from .swav_resnet50_64xb64_200e_imagenet import *

train_cfg.update(max_epochs=400)
