"""Pixel-Linguist, stage 3 (cross-lingual): a sentence and its translation; 202,600 steps; batch 128 (the authors' recipe)."""

from mmengine.config import read_base

from mmssl.datasets import TextFile, TextViews

with read_base():
    from .pixel_linguist_vit_base_8xb96_typos_1k_wiki1m import *

_translations = dict(type=TextFile, file='data/parallel/train.tsv', columns=('english', 'other'))
train_dataloader['dataset'].update(source=_translations, views=dict(type=TextViews, edits=[[], []]))
train_dataloader.update(batch_size=16)
optim_wrapper['optimizer'].update(lr=3e-5)
param_scheduler[0].update(end=20000)
param_scheduler[1].update(begin=20000)
train_cfg.update(max_iters=202600)
default_hooks['checkpoint'].update(interval=10000)
