"""Settings that action classification by fine-tuning shares: CtP's recipe for UCF101 and HMDB51."""

from mmengine.config import read_base
from mmengine.optim import MultiStepLR
from torch.optim import SGD

from mmssl.datasets import ClipCentre, ClipCrop, ClipDataset, DrawSampler, RandomFrames, RankBatchSampler, UniformFrames
from mmssl.engine import EpochLoop
from mmssl.engine.optimizers import OptimWrapper
from mmssl.evaluation import LinearAccuracyHook, LinearClassifier
from mmssl.models import R3D, DataPreprocessor

with read_base():
    from ...._base_.default_runtime import *

# The inheriting config sets the sources.
train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    dataset=dict(
        type=ClipDataset,
        frames=dict(type=RandomFrames, length=16, strides=[2], jitter=False),
        views=dict(type=ClipCrop, size=112, sides=[112, 128, 144], flip=0.5),
    ),
    sampler=dict(type=DrawSampler),
    batch_sampler=dict(type=RankBatchSampler),
)
_frames = dict(type=UniformFrames, length=16, stride=2, clips=10)
_centre = dict(type=ClipCentre, resize=[171, 128], crop=112)
evaluation = dict(
    gallery=dict(type=ClipDataset, frames=dict(type=UniformFrames, length=16, stride=2), views=_centre),
    query=dict(type=ClipDataset, frames=_frames, views=_centre),
    batch_size=4,
    num_workers=8,
)
model = dict(
    type=LinearClassifier,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=R3D, spatial_strides=[1, 2, 2, 2]),
    num_classes=101,  # tools/benchmarks/classification/finetune.py sets it from the data
    frozen=False,
    dropout=0.5,
)
optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=SGD, lr=0.01, momentum=0.9, weight_decay=5e-4),
    clip_grad=dict(max_norm=40, norm_type=2),
)
param_scheduler = dict(type=MultiStepLR, milestones=[60, 120], gamma=0.1, by_epoch=True)
train_cfg = dict(type=EpochLoop, max_epochs=150)
auto_scale_lr = dict(base_batch_size=32, enable=False)
for _hook in ('online_knn', 'collapse', 'clusters'):  # these are for pre-training
    default_hooks.pop(_hook)
custom_hooks = [dict(type=LinearAccuracyHook)]
