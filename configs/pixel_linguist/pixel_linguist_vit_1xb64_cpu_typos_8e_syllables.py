"""Pixel-Linguist for two cores with typos alone: what the order of words adds."""

from mmengine.config import read_base

from mmssl.datasets import Typos

with read_base():
    from .pixel_linguist_vit_1xb64_cpu_8e_syllables import *

train_dataloader['dataset']['views'].update(edits=[[], [dict(type=Typos)]])
