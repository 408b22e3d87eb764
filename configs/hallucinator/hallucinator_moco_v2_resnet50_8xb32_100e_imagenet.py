"""Hallucinator on MoCo v2, 100 epochs, batch 256 (the authors' recipe); from epoch 21 on, first views show the middle."""

from mmengine.config import read_base

from mmssl.datasets import CentreView, MultiView, ViewsByEpoch
from mmssl.models import Hallucinator

with read_base():
    from ..moco.moco_v2_resnet50_8xb32_200e_imagenet import *

model.update(additions=[dict(type=Hallucinator, dim=128)])
_plain = train_dataloader['dataset']['views']
_any = _plain['views'][0]
_middle = dict(_any, type=CentreView, centre=(0.2, 0.2, 0.8, 0.8), alpha=0.6)
train_dataloader['dataset']['views'] = dict(
    type=ViewsByEpoch, until=20, views=[_plain, dict(type=MultiView, counts=[1, 1], views=[_middle, _any])]
)
train_cfg.update(max_epochs=100)
