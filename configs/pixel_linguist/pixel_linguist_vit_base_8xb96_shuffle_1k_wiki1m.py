"""Pixel-Linguist, stage 0 (visual): a sentence against the same in random order; 1,300 steps, batch 768 (the authors' recipe)."""

from mmengine.config import read_base

from mmssl.datasets import ShuffleWords

with read_base():
    from .pixel_linguist_vit_base_8xb96_typos_1k_wiki1m import *

train_dataloader['dataset']['views'].update(edits=[[], [dict(type=ShuffleWords)]])
