"""Un-Mix on SwAV for two cores: two views of 32 pixels and three of 20."""

from mmengine.config import read_base

from mmssl.models import UnMixSwAV

with read_base():
    from ..swav.swav_resnet10_1xb128_cpu_2e_cifar10 import *

model.update(type=UnMixSwAV)
