"""SwAV that learns in about five minutes on two cores: a narrow ResNet-10, 2x32 + 3x20 pixels, 30 prototypes.

Plain SGD and harder codes (epsilon 0.03) get off the ground within the few hundred steps that there are.
"""

from mmengine.config import read_base
from torch.optim import SGD

with read_base():
    from .._base_.datasets.cifar10_multicrop import *
    from .._base_.default_runtime import *
    from .._base_.models.swav_resnet50 import *
    from .._base_.schedules.larc_cosine import *

model.update(epsilon=0.03)
model['data_preprocessor'].update(mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26])
model['backbone'].update(depth=10, stem='small', base_channels=16)
model['neck'].update(in_channels=128, hidden_channels=512, out_channels=64)
model['prototypes'].update(dim=64, num_prototypes=30)
optim_wrapper['optimizer'] = dict(type=SGD, lr=0.4, momentum=0.9, weight_decay=1e-4)
param_scheduler.update(warmup=0.1, warmup_factor=0.0, warmup_reaches_base=False)
train_cfg.update(max_epochs=2)
auto_scale_lr.update(base_batch_size=128)
default_hooks['checkpoint'].update(interval=1)
default_hooks['online_knn'].update(interval=1)
