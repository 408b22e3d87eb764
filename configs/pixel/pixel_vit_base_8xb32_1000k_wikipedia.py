"""PIXEL on a ViT-B/16, a million steps, batch 256, strips of 529 patches (the authors' recipe)."""

from mmengine.config import read_base
from torch.optim import AdamW

from mmssl.datasets import DrawSampler, RankBatchSampler, TextDataset, TextFile, TextViews
from mmssl.engine import EpochLoop, WarmupCosineLR
from mmssl.engine.hooks import SimilarityHook
from mmssl.engine.optimizers import OptimWrapper
from mmssl.models import PIXEL, DataPreprocessor, TextDecoder, TextViT

with read_base():
    from .._base_.datasets.sts_benchmark import *
    from .._base_.default_runtime import *

_one = dict(type=TextViews, edits=[[]])
train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    dataset=dict(
        type=TextDataset,
        source=dict(type=TextFile, file='data/wikipedia/train.txt'),
        views=_one,
        patches=529,
        spans=True,
    ),
    sampler=dict(type=DrawSampler),
    batch_sampler=dict(type=RankBatchSampler),
)
for _part in ('gallery', 'pairs'):
    evaluation[_part].update(patches=529)
model = dict(
    type=PIXEL,
    data_preprocessor=dict(type=DataPreprocessor, mean=[0.0] * 3, std=[255.0] * 3),
    backbone=dict(type=TextViT, patches=529, learn_positions=False),
    decoder=dict(type=TextDecoder, in_channels=768),
)
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=AdamW, lr=1.5e-4, weight_decay=0.05))
param_scheduler = dict(type=WarmupCosineLR, warmup=50000, by_epoch=False)
train_cfg = dict(type=EpochLoop, max_iters=1000000)
default_hooks['checkpoint'].update(interval=10000, by_epoch=False)
custom_hooks = [dict(type=SimilarityHook)]
