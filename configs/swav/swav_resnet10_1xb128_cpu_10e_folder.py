"""SwAV on a folder of your own pictures, within minutes on two cores: a plain ResNet-10 at 64 pixels."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.folder_multicrop import *
    from .swav_resnet10_1xb128_cpu_2e_cifar10 import *

model['data_preprocessor'].update(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
model['backbone'].update(stem='imagenet', base_channels=64)
model['neck'].update(in_channels=512)
optim_wrapper['optimizer'].update(lr=0.2)
train_cfg.update(max_epochs=10)
