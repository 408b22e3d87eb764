"""Un-Mix on MoCo v2 for two cores."""

from mmengine.config import read_base

from mmssl.models import UnMix

with read_base():
    from ..moco.moco_v2_resnet10_1xb128_cpu_2e_cifar10 import *

model.update(additions=[dict(type=UnMix)])
