"""CtP's protocol of fine-tuning on HMDB51, split 1: clips of 16 frames with stride 2, tested on 10 clips per video."""

from mmengine.config import read_base

from mmssl.datasets import HMDB51

with read_base():
    from ._base_.finetune_clips import *

protocol = 'fine-tuning (CtP): SGD, rate 0.01, a tenth at epochs 60 and 120, 150 epochs, batch 32, 10 clips per video'
data_root = 'data/hmdb51'
_train, _test = dict(type=HMDB51, root='data/hmdb51', part='train'), dict(type=HMDB51, root='data/hmdb51', part='test')
train_dataloader['dataset'].update(source=_train)
evaluation['gallery'].update(source=_train)
evaluation['query'].update(source=_test)
