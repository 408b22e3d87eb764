"""InterCLR on MoCo v2 for two cores: a narrow ResNet-10, 100 clusters of 10,000 images.

In these minutes the network moves faster than clusters follow online: they count from the second epoch on, and k-means
finds them anew before every epoch.
"""

from mmengine.config import read_base

from mmssl.engine.hooks import ScheduleHook
from mmssl.models import DataPreprocessor, MLPNeck, MoCo, Queue, ResNet

with read_base():
    from .._base_.datasets.cifar10_subset import *
    from .._base_.default_runtime import *
    from .._base_.models.inter_image import *
    from .._base_.schedules.sgd_cosine import *

model = dict(
    type=MoCo,
    data_preprocessor=dict(type=DataPreprocessor, mean=[125.31, 122.95, 113.87], std=[51.59, 50.85, 51.26]),
    backbone=dict(type=ResNet, depth=10, stem='small', base_channels=16),
    neck=dict(type=MLPNeck, in_channels=128, hidden_channels=512, out_channels=64, batch_norm=False),
    queue=dict(type=Queue, length=4096, dim=64),
    momentum=0.99,
    temperature=0.2,
    additions=[inter_image],
)
inter_image.update(num_negatives=512, pool_size=1000)
inter_image['clusters'].update(num_clusters=100, dim=64, prepare_every=1)
del inter_image
custom_hooks = [
    dict(type=ScheduleHook, attribute='additions.0.weight', start=0.0, end=0.25, curve='jump', until=1, by_epoch=True)
]
train_dataloader['sampler'].update(replacement=True)
optim_wrapper['optimizer'].update(lr=0.1)
train_cfg.update(max_epochs=10)
default_hooks['checkpoint'].update(interval=2)
default_hooks['online_knn'].update(interval=2)
