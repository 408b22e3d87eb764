"""Pixel-Linguist, stage 2 (reasoning): a sentence and what it entails, with a contradiction as hard negative; 2,600 steps; batch 128 (the authors' recipe)."""

from mmengine.config import read_base

from mmssl.datasets import TextFile, TextViews

with read_base():
    from .pixel_linguist_vit_base_8xb96_typos_1k_wiki1m import *

_triples = dict(type=TextFile, file='data/nli/train.csv', columns=('sent0', 'sent1', 'hard_neg'))
train_dataloader['dataset'].update(source=_triples, views=dict(type=TextViews, edits=[[], [], []]))
train_dataloader.update(batch_size=16)
optim_wrapper['optimizer'].update(lr=3e-5)
param_scheduler[0].update(end=200)
param_scheduler[1].update(begin=200)
train_cfg.update(max_iters=2600)
default_hooks['checkpoint'].update(interval=500)
