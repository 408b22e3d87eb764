"""PIXEL for two cores: a small ViT on generated sentences in strips of 24 patches."""

from mmengine.config import read_base

from mmssl.engine.hooks import SimilarityHook
from mmssl.models import PIXEL, DataPreprocessor, TextDecoder, TextViT

with read_base():
    from .._base_.datasets.syllables import *
    from .._base_.default_runtime import *
    from .._base_.schedules.adamw_cosine_300e import *

train_dataloader['dataset'].update(spans=True)
model = dict(
    type=PIXEL,
    data_preprocessor=dict(type=DataPreprocessor, mean=[0.0], std=[255.0]),
    backbone=dict(type=TextViT, patches=24, in_channels=1, learn_positions=False, embed_dim=96, depth=3, num_heads=4),
    decoder=dict(type=TextDecoder, in_channels=96, image_channels=1, channels=64, depth=2, num_heads=4),
)
optim_wrapper['optimizer'].update(lr=1e-3, weight_decay=0.05)
param_scheduler.update(warmup=1)
train_cfg.update(max_epochs=8)
auto_scale_lr.update(base_batch_size=64)
default_hooks['checkpoint'].update(interval=1)
custom_hooks = [dict(type=SimilarityHook)]
