"""OBoW for two cores: the teacher sees 48 pixels, the student two crops of 32 and three patches of 20."""

from mmengine.config import read_base

from mmssl.datasets import EvalView, MultiView, PatchGrid, View
from mmssl.engine.hooks import ScheduleHook
from mmssl.models import BagOfWordsHead, DataPreprocessor, OBoW, ResNet, Vocabulary

with read_base():
    from .._base_.datasets.cifar10 import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine import *

_view = dict(jitter=(0.4, 0.4, 0.4, 0.1), jitter_prob=0.8, gray_prob=0.2)
train_dataloader['dataset'].update(
    views=dict(
        type=MultiView,
        counts=[1, 2, 1],
        views=[
            dict(type=EvalView, resize=48, crop=48, flip=0.5),
            dict(_view, type=View, size=32, scale=(0.2, 0.6)),
            dict(_view, type=PatchGrid, size=48, patch=20, jitter=8, count=3, scale=(0.6, 1.0)),
        ],
    )
)
model = dict(
    type=OBoW,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26]),
    backbone=dict(type=ResNet, depth=10, stem='small', base_channels=16, out_indices=(2, 3)),
    head=dict(type=BagOfWordsHead, in_channels=128, word_channels=[64, 128], scale=5.0),
    vocabularies=[
        dict(type=Vocabulary, num_words=1024, dim=64, inv_delta=10.0),
        dict(type=Vocabulary, num_words=1024, dim=128, inv_delta=10.0),
    ],
    momentum=0.99,
)
custom_hooks = [dict(type=ScheduleHook, attribute='teacher.momentum', start=0.99, end=1.0, ahead=1)]
optim_wrapper['optimizer'].update(lr=0.1)
default_hooks['checkpoint'].update(interval=1)
default_hooks['online_knn'].update(interval=1)
