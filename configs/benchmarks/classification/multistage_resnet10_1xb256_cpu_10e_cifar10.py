"""A linear classifier on each stage, as multistage_resnet50_8xb32_90e_imagenet, for two cores: CIFAR-10, 10 epochs."""

from mmengine.config import read_base

with read_base():
    from .multistage_resnet50_8xb32_90e_imagenet import *  # noqa: I001 - the data last: it replaces the first's
    from ._base_.classification_cifar10 import *

protocol = 'multi-stage linear for two cores: stem and 4 stages, SGD, rate 0.01, steps of 0.1 at 4 and 8, 10 epochs'

model['data_preprocessor'].update(cifar10_preprocessor)
model['backbone'].update(cifar10_backbone)
# 4096, 4096, 8192, 4096 and 2048 numbers of 32 pixels
pools = dict(stem=(2, 2, 0), stage1=(2, 2, 0), stage2=(1, 1, 0), stage3=(1, 1, 0), stage4=(1, 1, 0))
model.update(num_classes=10, image_size=32, pools=pools)
param_scheduler.update(milestones=[4, 8])
train_cfg.update(max_epochs=10)
