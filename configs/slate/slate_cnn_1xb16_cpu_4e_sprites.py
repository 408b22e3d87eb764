"""SLATE for two cores: scenes of three sprites of 32 pixels, 4 slots of 32 numbers, 64 codes, about 1,000 steps."""

from mmengine.config import read_base

from mmssl.engine.hooks import ScheduleHook
from mmssl.models import SLATE, DataPreprocessor, DiscreteVAE, SLATEDecoder, SlotCNN, SlotEncoder

with read_base():
    from .._base_.datasets.sprites_small import *
    from .._base_.default_runtime import *
    from .._base_.schedules.adam_halving_10e import *

model = dict(
    type=SLATE,
    data_preprocessor=dict(type=DataPreprocessor, mean=[0, 0, 0], std=[255, 255, 255]),
    backbone=dict(type=SlotCNN, channels=32),
    slot_encoder=dict(
        type=SlotEncoder, in_channels=32, num_slots=4, slot_channels=32, hidden_channels=64, num_iterations=3
    ),
    decoder=dict(type=SLATEDecoder, vocabulary=64, slot_channels=32, num_places=64, channels=64, depth=2, num_heads=4),
    vae=dict(type=DiscreteVAE, vocabulary=64, channels=32),
)
optim_wrapper['optimizer'].update(lr=1e-3)
optim_wrapper['paramwise_cfg'] = dict(custom_keys=dict(vae=dict(fix_lr=True)))
param_scheduler.update(warmup=300, half_life=None)
train_cfg.update(max_epochs=4)
auto_scale_lr.update(base_batch_size=16)
custom_hooks = [dict(type=ScheduleHook, attribute='temperature', start=1.0, end=0.1, until=500)]
default_hooks['checkpoint'].update(interval=1)
default_hooks['online_knn'].update(interval=4)
