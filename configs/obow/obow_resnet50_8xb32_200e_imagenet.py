"""OBoW in full, 200 epochs, batch 256 (the authors' recipe; 73.8 % linear in their table)."""

from mmengine.config import read_base

from mmssl.engine.hooks import ScheduleHook
from mmssl.models import BagOfWordsHead, DataPreprocessor, OBoW, ResNet, Vocabulary

with read_base():
    from .._base_.datasets.imagenet_obow import *
    from .._base_.default_runtime import *
    from .._base_.schedules.sgd_cosine_200e import *

model = dict(
    type=OBoW,
    data_preprocessor=dict(type=DataPreprocessor),
    backbone=dict(type=ResNet, depth=50, out_indices=(2, 3)),
    head=dict(type=BagOfWordsHead, in_channels=2048, word_channels=[1024, 2048], scale=8.0),
    vocabularies=[
        dict(type=Vocabulary, num_words=8192, dim=1024, inv_delta=15.0),
        dict(type=Vocabulary, num_words=8192, dim=2048, inv_delta=15.0),
    ],
    momentum=0.99,
)
sync_bn = 'torch'
custom_hooks = [dict(type=ScheduleHook, attribute='teacher.momentum', start=0.99, end=1.0, ahead=1)]
param_scheduler.update(warmup=10, end_factor=0.001, by_epoch=True, convert_to_iter_based=True)
