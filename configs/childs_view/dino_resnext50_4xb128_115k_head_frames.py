"""DINO on a ResNeXt-50 32x4d, 115,000 steps of 512 frames of a head camera (the authors' recipe)."""

from mmengine.config import read_base
from torch.optim import AdamW

from mmssl.datasets import MultiView, View
from mmssl.engine import EpochLoop
from mmssl.engine.hooks import ClipEachGradientHook, ScheduleHook
from mmssl.engine.optimizers import OptimWrapper
from mmssl.models import DINO, Centre, DataPreprocessor, DINOHead, TimmBackbone

with read_base():
    from .._base_.datasets.head_frames import *
    from .._base_.default_runtime import *

_view = dict(
    type=View,
    jitter=(0.4, 0.4, 0.2, 0.1),
    jitter_prob=0.8,
    gray_prob=0.2,
    blur_sigma=(0.1, 2.0),
    interpolation='bicubic',
)
train_dataloader['dataset'].update(
    views=dict(
        type=MultiView,
        counts=[1, 1, 8],
        views=[
            dict(_view, size=224, scale=(0.2, 1.0), blur_prob=1.0),
            dict(_view, size=224, scale=(0.2, 1.0), blur_prob=0.1, solarize_prob=0.2),
            dict(_view, size=96, scale=(0.05, 0.2), blur_prob=0.5),
        ],
    )
)

model = dict(
    type=DINO,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=TimmBackbone, name='resnext50_32x4d'),
    head=dict(type=DINOHead, in_channels=2048, num_prototypes=65536),
    momentum=0.9995,
    teacher_temperature=0.04,
    centre=dict(type=Centre, momentum=0.9),
)
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=AdamW, lr=1e-4, weight_decay=0.0))
train_cfg = dict(type=EpochLoop, max_iters=115_000)
auto_scale_lr = dict(base_batch_size=512, enable=False)
custom_hooks = [
    dict(type=ScheduleHook, attribute='teacher.momentum', start=0.9995, end=1.0, until=1_000_000),
    dict(type=ClipEachGradientHook, max_norm=1.0),
]
sync_bn = 'torch'
