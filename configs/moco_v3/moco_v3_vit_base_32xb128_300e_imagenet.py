"""MoCo v3 on a ViT-B/16, 300 epochs, batch 4096 (the authors' recipe; 76.7 % linear in their table)."""

from mmengine.config import read_base

with read_base():
    from .moco_v3_vit_small_32xb128_300e_imagenet import *

model['backbone'].update(name='vit_base_patch16_224')
model['neck'].update(in_channels=768)
