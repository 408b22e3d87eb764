"""The original SLATE on a million scenes of five sprites: the slots read the embedded codes, of which there are 1,024."""

from mmengine.config import read_base

from mmssl.engine.hooks import ScheduleHook
from mmssl.models import SLATE, DataPreprocessor, DiscreteVAE, SLATEDecoder, SlotEncoder

with read_base():
    from .._base_.datasets.sprites import *
    from .._base_.default_runtime import *
    from .._base_.schedules.adam_halving_10e import *

model = dict(
    type=SLATE,
    data_preprocessor=dict(type=DataPreprocessor, mean=[0, 0, 0], std=[255, 255, 255]),
    backbone=dict(type=DiscreteVAE, vocabulary=1024, group_norm=True),
    slot_encoder=dict(
        type=SlotEncoder, in_channels=192, num_slots=6, slot_channels=192, hidden_channels=192, num_iterations=3
    ),
    decoder=dict(
        type=SLATEDecoder, vocabulary=1024, slot_channels=192, num_places=256, channels=192, depth=4, num_heads=4
    ),
)
optim_wrapper['clip_grad'].update(max_norm=1.0)
optim_wrapper['paramwise_cfg'] = dict(custom_keys=dict(backbone=dict(fix_lr=True), slot_encoder=dict(lr_mult=1 / 3)))
custom_hooks = [dict(type=ScheduleHook, attribute='temperature', start=1.0, end=0.1, until=30_000)]
