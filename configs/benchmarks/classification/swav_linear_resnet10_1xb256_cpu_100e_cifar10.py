"""SwAV's linear protocol for the narrow ResNet-10 of the CPU configs, on CIFAR-10."""

from mmengine.config import read_base

with read_base():
    from .swav_linear_resnet50_8xb32_100e_imagenet import *  # noqa: I001 - the data last: it replaces the first's
    from ._base_.classification_cifar10 import *

model['data_preprocessor'].update(cifar10_preprocessor)
model['backbone'].update(cifar10_backbone)
model.update(num_classes=10)
default_hooks['checkpoint'].update(interval=50)
