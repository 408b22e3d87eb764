"""Pixel-Linguist for two cores with the order of words alone: what typos add."""

from mmengine.config import read_base

from mmssl.datasets import ShuffleWords

with read_base():
    from .pixel_linguist_vit_1xb64_cpu_8e_syllables import *

train_dataloader['dataset']['views'].update(edits=[[], [dict(type=ShuffleWords)]])
