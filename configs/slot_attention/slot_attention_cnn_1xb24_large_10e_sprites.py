"""Slot Attention as in the other config, with slots of 192 numbers (OCRL's large variant; the epochs are ours)."""

from mmengine.config import read_base

with read_base():
    from .slot_attention_cnn_1xb24_10e_sprites import *

model['slot_encoder'].update(slot_channels=192, hidden_channels=192)
model['decoder'].update(slot_channels=192)
