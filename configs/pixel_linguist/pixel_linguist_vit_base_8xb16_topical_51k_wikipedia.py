"""Pixel-Linguist, stage 1 (topical): two spans of a document; 50,500 steps; batch 128 (the authors' recipe)."""

from mmengine.config import read_base

from mmssl.datasets import RandomSpan, TextFile, TextViews

with read_base():
    from .pixel_linguist_vit_base_8xb96_typos_1k_wiki1m import *

_spans = dict(type=TextViews, edits=[[dict(type=RandomSpan)], [dict(type=RandomSpan)]])
train_dataloader['dataset'].update(source=dict(type=TextFile, file='data/wikipedia/train.txt'), views=_spans)
train_dataloader.update(batch_size=16)
optim_wrapper['optimizer'].update(lr=3e-5)
param_scheduler[0].update(end=5050)
param_scheduler[1].update(begin=5050)
train_cfg.update(max_iters=50500)
default_hooks['checkpoint'].update(interval=5000)
