"""Un-Mix on BYOL for two cores."""

from mmengine.config import read_base

from mmssl.models import UnMix

with read_base():
    from ..byol.byol_resnet10_1xb128_cpu_2e_cifar10 import *

model.update(additions=[dict(type=UnMix)])
