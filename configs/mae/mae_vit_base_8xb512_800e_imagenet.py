"""MAE on a ViT-B/16, 800 epochs, batch 4096 (the authors' recipe; 65.1 % linear, 83.3 % fine-tuned in mmpretrain's table)."""

from mmengine.config import read_base

with read_base():
    from .mae_vit_base_8xb512_300e_imagenet import *

train_cfg.update(max_epochs=800)
