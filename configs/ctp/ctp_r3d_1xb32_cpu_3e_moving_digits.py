"""CtP for two cores: a small R3D of three stages on clips of 8 frames of moving digits, 32 pixels, two patches."""

from mmengine.config import read_base
from torch.optim import Adam

from mmssl.datasets import (
    ClipCentre,
    ClipCrop,
    ClipDataset,
    DrawSampler,
    MovingDigits,
    PastePatches,
    RandomFrames,
    RankBatchSampler,
    UniformFrames,
)
from mmssl.engine import EpochLoop
from mmssl.engine.optimizers import OptimWrapper
from mmssl.models import R3D, CtP, DataPreprocessor, TrajectoryHead

with read_base():
    from .._base_.default_runtime import *

_train, _test = dict(type=MovingDigits, count=4000), dict(type=MovingDigits, count=500, skip=4000)
_paste = dict(
    type=PastePatches,
    view=dict(type=ClipCrop, size=32, sides=[32, 36]),
    count=2,
    scales=[10, 12, 14, 16],
    speed=2.0,
)
_frames = dict(type=RandomFrames, length=8, strides=[1, 2])
train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    dataset=dict(type=ClipDataset, source=_train, frames=_frames, views=_paste),
    sampler=dict(type=DrawSampler),
    batch_sampler=dict(type=RankBatchSampler),
)

_plain = dict(
    type=ClipDataset, frames=dict(type=UniformFrames, length=8), views=dict(type=ClipCentre, resize=32, crop=32)
)
evaluation = dict(
    gallery=dict(_plain, source=_train),
    query=dict(_plain, source=_test),
    pretext=dict(type=ClipDataset, source=_test, frames=_frames, views=_paste),
    batch_size=256,
    num_workers=1,
)

model = dict(
    type=CtP,
    data_preprocessor=dict(type=DataPreprocessor, mean=[80.0] * 3, std=[50.0] * 3),
    backbone=dict(
        type=R3D,
        channels=[12, 24, 48],
        blocks=1,
        stem_channels=12,
        spatial_strides=[1, 2, 1],
        temporal_strides=[1, 2, 2],
    ),
    head=dict(
        type=TrajectoryHead, in_channels=48, frames=8, map_frames=2, stride=4, hidden_channels=128, deviation=0.02
    ),
    deviations=[0.23, 0.23, 0.04, 0.04],
)
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=Adam, lr=2e-3))
train_cfg = dict(type=EpochLoop, max_epochs=3)
auto_scale_lr = dict(base_batch_size=32, enable=False)
default_hooks['checkpoint'].update(interval=1)
default_hooks['online_knn'].update(interval=1)
