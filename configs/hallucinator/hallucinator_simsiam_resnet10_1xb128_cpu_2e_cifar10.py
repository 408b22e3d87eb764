"""Hallucinator on SimSiam for two cores; first views show the middle of the images."""

from mmengine.config import read_base

from mmssl.datasets import CentreView, MultiView
from mmssl.models import Hallucinator

with read_base():
    from ..simsiam.simsiam_resnet10_1xb128_cpu_2e_cifar10 import *

model.update(additions=[dict(type=Hallucinator, dim=512)])
_any = train_dataloader['dataset']['views']['views'][0]
train_dataloader['dataset']['views'] = dict(type=MultiView, counts=[1, 1], views=[dict(_any, type=CentreView), _any])
