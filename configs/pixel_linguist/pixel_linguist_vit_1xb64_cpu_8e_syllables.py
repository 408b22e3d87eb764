"""Pixel-Linguist for two cores: generated sentences against the same with typos and in another order."""

from mmengine.config import read_base

from mmssl.datasets import ShuffleWords, TextViews, Typos
from mmssl.engine.hooks import SimilarityHook
from mmssl.models import DataPreprocessor, PixelLinguist, TextNeck, TextViT

with read_base():
    from .._base_.datasets.syllables import *
    from .._base_.default_runtime import *
    from .._base_.schedules.adamw_linear import *

_edits = [[], [dict(type=ShuffleWords), dict(type=Typos)]]
train_dataloader['dataset'].update(views=dict(type=TextViews, edits=_edits))
model = dict(
    type=PixelLinguist,
    data_preprocessor=dict(type=DataPreprocessor, mean=[0.0], std=[255.0]),
    backbone=dict(
        type=TextViT,
        patches=24,
        in_channels=1,
        embed_dim=96,
        depth=3,
        num_heads=4,
        pos_drop_rate=0.1,
        proj_drop_rate=0.1,
        attn_drop_rate=0.1,
    ),
    neck=dict(type=TextNeck, in_channels=96),
)
optim_wrapper['optimizer'].update(lr=5e-4)
train_cfg.update(max_epochs=8, max_iters=None)
default_hooks['checkpoint'].update(interval=1)
custom_hooks = [dict(type=SimilarityHook)]
