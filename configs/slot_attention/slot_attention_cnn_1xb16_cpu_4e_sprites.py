"""Slot Attention for two cores: scenes of three sprites of 32 pixels, 4 slots of 32 numbers, about 1,000 steps."""

from mmengine.config import read_base

from mmssl.models import DataPreprocessor, SlotAttentionAE, SlotCNN, SlotEncoder, SpatialBroadcastDecoder

with read_base():
    from .._base_.datasets.sprites_small import *
    from .._base_.default_runtime import *
    from .._base_.schedules.adam_halving_10e import *

model = dict(
    type=SlotAttentionAE,
    data_preprocessor=dict(type=DataPreprocessor, mean=[0, 0, 0], std=[255, 255, 255]),
    backbone=dict(type=SlotCNN, channels=32),
    slot_encoder=dict(
        type=SlotEncoder, in_channels=32, num_slots=4, slot_channels=32, hidden_channels=64, num_iterations=3
    ),
    decoder=dict(type=SpatialBroadcastDecoder, slot_channels=32, channels=32),
)
optim_wrapper['optimizer'].update(lr=1e-3)
param_scheduler.update(warmup=300, half_life=None)
train_cfg.update(max_epochs=4)
auto_scale_lr.update(base_batch_size=16)
default_hooks['checkpoint'].update(interval=1)
default_hooks['online_knn'].update(interval=4)
