"""SwAV on a folder of your own images, within minutes on two cores: a plain ResNet-10 at 64 pixels."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.folder_multicrop import *
    from .._base_.default_runtime import *
    from .._base_.models.swav_resnet10 import *
    from .._base_.schedules.sgd_cosine import *

model['backbone'].update(stem='imagenet', base_channels=64)
model['neck'].update(in_channels=512)
optim_wrapper['optimizer'].update(lr=0.2)
train_cfg.update(max_epochs=10)
default_hooks['checkpoint'].update(interval=1)
default_hooks['online_knn'].update(interval=1)
