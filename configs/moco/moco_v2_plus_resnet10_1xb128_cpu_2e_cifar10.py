"""MoCo v2+ (both directions, a queue for each view) for two cores: a narrow ResNet-10, two queues of 4,096 keys."""

from mmengine.config import read_base

from mmssl.engine.hooks import ScheduleHook
from mmssl.models import MoCoV2Plus

with read_base():
    from .moco_v2_resnet10_1xb128_cpu_2e_cifar10 import *

model.update(type=MoCoV2Plus)
custom_hooks = [dict(type=ScheduleHook, attribute='teacher.momentum', start=0.99, end=0.999)]
