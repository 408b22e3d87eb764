"""SwAV on Fashion-MNIST, for the quickstart: within five minutes on two cores, with a narrow ResNet-10 for one channel."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.fashion_mnist_multicrop import *
    from .._base_.default_runtime import *
    from .._base_.models.swav_resnet10 import *
    from .._base_.schedules.sgd_cosine import *

model['data_preprocessor'].update(mean=[72.94], std=[90.02])
model['backbone'].update(in_channels=1)
optim_wrapper['optimizer'].update(lr=0.2)
train_cfg.update(max_epochs=5)
default_hooks['checkpoint'].update(interval=1)
default_hooks['online_knn'].update(interval=1)
