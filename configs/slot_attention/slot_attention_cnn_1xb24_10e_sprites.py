"""Slot Attention on a million scenes of five sprites: 6 slots of 64 numbers, 7 rounds (OCRL's settings; the epochs are ours)."""

from mmengine.config import read_base

from mmssl.models import DataPreprocessor, SlotAttentionAE, SlotCNN, SlotEncoder, SpatialBroadcastDecoder

with read_base():
    from .._base_.datasets.sprites import *
    from .._base_.default_runtime import *
    from .._base_.schedules.adam_halving_10e import *

model = dict(
    type=SlotAttentionAE,
    data_preprocessor=dict(type=DataPreprocessor, mean=[0, 0, 0], std=[255, 255, 255]),
    backbone=dict(type=SlotCNN, channels=64),
    slot_encoder=dict(
        type=SlotEncoder, in_channels=64, num_slots=6, slot_channels=64, hidden_channels=128, num_iterations=7
    ),
    decoder=dict(type=SpatialBroadcastDecoder, slot_channels=64, channels=64),
)
_slow = dict(lr_mult=1 / 3)
optim_wrapper['paramwise_cfg'] = dict(custom_keys=dict(backbone=_slow, pixel_positions=_slow, slot_encoder=_slow))
