"""Pixel-Linguist for two cores with dropout alone: both texts of a pair are the same sentence."""

from mmengine.config import read_base

with read_base():
    from .pixel_linguist_vit_1xb64_cpu_8e_syllables import *

train_dataloader['dataset']['views'].update(edits=[[], []])
