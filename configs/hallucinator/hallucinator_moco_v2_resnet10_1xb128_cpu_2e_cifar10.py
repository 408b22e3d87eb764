"""Hallucinator on MoCo v2 for two cores; first views show the middle of the images."""

from mmengine.config import read_base

from mmssl.datasets import CentreView, MultiView
from mmssl.models import Hallucinator

with read_base():
    from ..moco.moco_v2_resnet10_1xb128_cpu_2e_cifar10 import *

model.update(additions=[dict(type=Hallucinator, dim=64)])
_any = train_dataloader['dataset']['views']['views'][0]
train_dataloader['dataset']['views'] = dict(type=MultiView, counts=[1, 1], views=[dict(_any, type=CentreView), _any])
