"""SLATE on a million scenes of five sprites, as OCRL trains it: the slots read a CNN, 4,096 codes (the epochs are ours)."""

from mmengine.config import read_base

from mmssl.engine.hooks import ScheduleHook
from mmssl.models import SLATE, DataPreprocessor, DiscreteVAE, SLATEDecoder, SlotCNN, SlotEncoder

with read_base():
    from .._base_.datasets.sprites import *
    from .._base_.default_runtime import *
    from .._base_.schedules.adam_halving_10e import *

model = dict(
    type=SLATE,
    data_preprocessor=dict(type=DataPreprocessor, mean=[0, 0, 0], std=[255, 255, 255]),
    backbone=dict(type=SlotCNN, channels=64),
    slot_encoder=dict(
        type=SlotEncoder, in_channels=64, num_slots=6, slot_channels=192, hidden_channels=192, num_iterations=3
    ),
    decoder=dict(
        type=SLATEDecoder, vocabulary=4096, slot_channels=192, num_places=256, channels=192, depth=4, num_heads=4
    ),
    vae=dict(type=DiscreteVAE, vocabulary=4096),
)
_slow = dict(lr_mult=1 / 3)
optim_wrapper['paramwise_cfg'] = dict(
    custom_keys=dict(vae=dict(fix_lr=True), backbone=_slow, pixel_positions=_slow, slot_encoder=_slow)
)
custom_hooks = [dict(type=ScheduleHook, attribute='temperature', start=1.0, end=0.1, until=30_000)]
