"""SwAV that learns in about five minutes on two cores: a narrow ResNet-10, 2x32 + 3x20 pixels, 30 prototypes."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.cifar10_multicrop import *
    from .._base_.default_runtime import *
    from .._base_.models.swav_resnet10 import *
    from .._base_.schedules.sgd_cosine import *

model['data_preprocessor'].update(mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26])
default_hooks['checkpoint'].update(interval=1)
default_hooks['online_knn'].update(interval=1)
