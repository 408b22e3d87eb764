"""Un-Mix on SimCLR for two cores."""

from mmengine.config import read_base

from mmssl.models import UnMix

with read_base():
    from ..simclr.simclr_resnet10_1xb256_cpu_2e_cifar10 import *

model.update(additions=[dict(type=UnMix)])
