"""SwAV that learns in about five minutes on two cores: a narrow ResNet-10, 2x32 + 3x20 pixels, 100 prototypes."""

from mmengine.config import read_base

from mmssl.engine import WarmupCosineLR
from mmssl.engine.hooks import GradientDropHook

with read_base():
    from .._base_.datasets.cifar10_multicrop import *  # noqa: F403
    from .._base_.default_runtime import *  # noqa: F403
    from .._base_.models.swav_resnet50 import *  # noqa: F403
    from .._base_.schedules.larc_cosine import *  # noqa: F403

model['data_preprocessor'].update(mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26])  # noqa: F405
model['backbone'].update(depth=10, stem='small', base_channels=16)  # noqa: F405
model['neck'].update(in_channels=128, hidden_channels=512, out_channels=64)  # noqa: F405
model['prototypes'].update(dim=64, num_prototypes=100)  # noqa: F405
optim_wrapper['optimizer'].update(lr=0.6)  # noqa: F405
train_cfg.update(max_epochs=3)  # noqa: F405
param_scheduler = dict(type=WarmupCosineLR, end_factor=0.001, warmup=0.1, convert_to_iter_based=True)
default_hooks['checkpoint'].update(interval=1)  # noqa: F405
default_hooks['online_knn'].update(interval=1)  # noqa: F405
custom_hooks = [dict(type=GradientDropHook, parameters='prototypes', steps=50)]
