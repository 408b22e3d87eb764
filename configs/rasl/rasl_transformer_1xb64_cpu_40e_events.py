"""RASL (reconstruction) for two cores: made-up sequences of 32 steps with events that can be heard."""

from mmengine.config import read_base
from torch.optim import Adam

from mmssl.datasets import DrawSampler, RankBatchSampler, SequenceDataset, SoundingEvents
from mmssl.engine import EpochLoop
from mmssl.engine.optimizers import OptimWrapper
from mmssl.models import RASL, DataPreprocessor, SequenceEncoder

with read_base():
    from .._base_.default_runtime import *

_train, _test = dict(type=SoundingEvents, count=2000), dict(type=SoundingEvents, count=400, skip=2000)
_sequences = dict(type=SequenceDataset, channels=32, length=32)
train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    dataset=dict(_sequences, source=_train, random=True, audio=True),
    sampler=dict(type=DrawSampler),
    batch_sampler=dict(type=RankBatchSampler),
)
evaluation = dict(
    gallery=dict(_sequences, source=_train),
    query=dict(_sequences, source=_test),
    pretext=dict(_sequences, source=_test),
    batch_size=256,
    num_workers=1,
)

model = dict(
    type=RASL,
    data_preprocessor=dict(type=DataPreprocessor, mean=[0.0] * 32, std=[1.0] * 32),  # features are scaled already
    backbone=dict(type=SequenceEncoder, in_channels=32),
    audio_encoder=dict(type=SequenceEncoder, in_channels=16),
)
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=Adam, lr=1e-3))
train_cfg = dict(type=EpochLoop, max_epochs=40)
auto_scale_lr = dict(base_batch_size=64, enable=False)
default_hooks['checkpoint'].update(interval=10)
