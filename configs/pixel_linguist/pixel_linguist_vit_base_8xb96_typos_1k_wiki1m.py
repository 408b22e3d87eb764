"""Pixel-Linguist, stage 0 (visual): a sentence against the same with typos; 1,300 steps, batch 768 (the authors' recipe)."""

from mmengine.config import read_base

from mmssl.datasets import DrawSampler, RankBatchSampler, TextDataset, TextFile, TextViews, Typos
from mmssl.engine.hooks import SimilarityHook

with read_base():
    from .._base_.datasets.sts_benchmark import *
    from .._base_.default_runtime import *
    from .._base_.models.pixel_linguist_vit_base import *
    from .._base_.schedules.adamw_linear import *

train_dataloader = dict(
    batch_size=96,
    num_workers=4,
    persistent_workers=True,
    dataset=dict(
        type=TextDataset,
        source=dict(type=TextFile, file='data/wiki1m/train.txt'),
        views=dict(type=TextViews, edits=[[], [dict(type=Typos)]]),
    ),
    sampler=dict(type=DrawSampler),
    batch_sampler=dict(type=RankBatchSampler),
)
optim_wrapper['optimizer'].update(lr=3e-6)
default_hooks['checkpoint'].update(interval=250, by_epoch=False)
custom_hooks = [dict(type=SimilarityHook)]
