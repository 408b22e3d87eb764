"""CtP's protocol of fine-tuning on Something-Something v1: clips of 32 frames with stride 1, no flips, tested on one clip."""

from mmengine.config import read_base
from mmengine.optim import LinearLR, MultiStepLR

from mmssl.datasets import SomethingSomething

with read_base():
    from ._base_.finetune_clips import *

protocol = (
    'fine-tuning (CtP): SGD, rate 0.01, 1000 steps of linear warm-up, a tenth at epochs 40, 60 and 80, 90 epochs, batch '
    '32, one clip per video'
)
data_root = 'data/ssv1'
_train = dict(type=SomethingSomething, root='data/ssv1', part='train', version=1)
_validation = dict(type=SomethingSomething, root='data/ssv1', part='validation', version=1)
train_dataloader['dataset'].update(source=_train)
train_dataloader['dataset']['frames'].update(length=32, strides=[1])
train_dataloader['dataset']['views'].update(flip=0.0)
evaluation['gallery'].update(source=_train)
evaluation['query'].update(source=_validation)
evaluation['gallery']['frames'].update(length=32, stride=1)
evaluation['query']['frames'].update(length=32, stride=1, clips=1)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.1, begin=0, end=1000, by_epoch=False),
    dict(type=MultiStepLR, milestones=[40, 60, 80], gamma=0.1, by_epoch=True),
]
train_cfg.update(max_epochs=90)
