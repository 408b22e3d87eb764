"""DINO on a ViT-S/16, 100 epochs, batch 512 (the authors' vanilla recipe; they give 69.3 % k-NN, 73.8 % linear)."""

from mmengine.config import read_base
from torch.optim import AdamW

from mmssl.engine import CosineWeightDecay, EpochLoop, WarmupCosineLR
from mmssl.engine.hooks import ClipEachGradientHook, GradientDropHook, ScheduleHook
from mmssl.engine.optimizers import OptimWrapper
from mmssl.models import DINO, Centre, DataPreprocessor, DINOHead, TimmBackbone

with read_base():
    from .._base_.datasets.imagenet_dino import *
    from .._base_.default_runtime import *

model = dict(
    type=DINO,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=TimmBackbone, name='vit_small_patch16_224', dynamic_img_size=True, drop_path_rate=0.1),
    head=dict(type=DINOHead, in_channels=384, num_prototypes=65536),
    momentum=0.996,
    teacher_temperature=0.04,
    centre=dict(type=Centre, momentum=0.9),
)
train_dataloader.update(batch_size=64)
optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=AdamW, lr=1e-3, weight_decay=0.04),
    paramwise_cfg=dict(flat_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(type=WarmupCosineLR, warmup=10, warmup_reaches_base=True, end_factor=1e-3, convert_to_iter_based=True),
    dict(type=CosineWeightDecay, end_factor=10.0, convert_to_iter_based=True),
]
train_cfg = dict(type=EpochLoop, max_epochs=100)
auto_scale_lr = dict(base_batch_size=512, enable=False)
custom_hooks = [
    dict(type=ScheduleHook, attribute='teacher.momentum', start=0.996, end=1.0),
    dict(type=ClipEachGradientHook, max_norm=3.0),
    dict(type=GradientDropHook, parameters='head.last', epochs=1),
]
