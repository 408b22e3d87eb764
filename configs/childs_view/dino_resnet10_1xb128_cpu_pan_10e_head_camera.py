"""DINO for two cores on a slow pan over scenes of digits: a narrow ResNet-10, 2 views of 32 and 3 of 20 pixels."""

from mmengine.config import read_base
from torch.optim import AdamW

from mmssl.datasets import DrawSampler, EvalView, HeadCamera, ImageDataset, MultiView, RankBatchSampler, View
from mmssl.engine import EpochLoop
from mmssl.engine.hooks import ClipEachGradientHook, ScheduleHook
from mmssl.engine.optimizers import OptimWrapper
from mmssl.models import DINO, Centre, DataPreprocessor, DINOHead, ResNet

with read_base():
    from .._base_.default_runtime import *

_view = dict(type=View, flip=0.0, jitter=(0.4, 0.4, 0.4, 0.1), jitter_prob=0.8, gray_prob=0.2)
train_dataloader = dict(
    batch_size=128,
    num_workers=1,
    persistent_workers=True,
    dataset=dict(
        type=ImageDataset,
        source=dict(type=HeadCamera, scenes=32, frames=128, gaze='pan'),
        views=dict(
            type=MultiView,
            counts=[2, 3],
            views=[dict(_view, size=32, scale=(0.3, 1.0)), dict(_view, size=20, scale=(0.1, 0.3))],
        ),
    ),
    sampler=dict(type=DrawSampler),
    batch_sampler=dict(type=RankBatchSampler),
)
_plain = dict(type=ImageDataset, views=dict(type=EvalView, resize=32, crop=32))
evaluation = dict(
    gallery=dict(_plain, source=dict(type=HeadCamera, scenes=32, frames=64, gaze='digits', skip=32)),
    query=dict(_plain, source=dict(type=HeadCamera, scenes=16, frames=64, gaze='digits', skip=64)),
    batch_size=256,
    num_workers=1,
)

model = dict(
    type=DINO,
    data_preprocessor=dict(type=DataPreprocessor, mean=[105.0] * 3, std=[60.0] * 3),
    backbone=dict(type=ResNet, depth=10, stem='small', base_channels=16),
    head=dict(
        type=DINOHead, in_channels=128, num_prototypes=1024, hidden_channels=256, embedding_channels=64, batch_norm=True
    ),
    momentum=0.99,
    teacher_temperature=0.04,
    centre=dict(type=Centre, momentum=0.9),
)
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=AdamW, lr=2e-3, weight_decay=0.0))
train_cfg = dict(type=EpochLoop, max_epochs=10)
auto_scale_lr = dict(base_batch_size=128, enable=False)
custom_hooks = [
    dict(type=ScheduleHook, attribute='teacher.momentum', start=0.99, end=1.0),
    dict(type=ClipEachGradientHook, max_norm=1.0),
]
default_hooks['checkpoint'].update(interval=10)
default_hooks['online_knn'].update(interval=2)
