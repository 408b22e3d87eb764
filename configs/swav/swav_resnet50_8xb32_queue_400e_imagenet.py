"""SwAV with queue, 400 epochs, batch 256 (the authors' small-batch recipe; 74.3 % linear in their table)."""

from mmengine.config import read_base

with read_base():
    from .swav_resnet50_8xb32_queue_200e_imagenet import *

train_cfg.update(max_epochs=400)
