"""CoKe with two views, 1,000 epochs after one that only clusters, batch 1,024 (the authors' recipe; 74.9 % linear)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.imagenet_pixpro import *
    from .._base_.default_runtime import *
    from .._base_.models.coke_resnet50 import *
    from .._base_.schedules.lars_idle_cosine_1001e import *

model.update(large_views=2, temperature=0.05, label_weight=0.2)
train_dataloader['dataset']['views'].update(boxes=False)
train_dataloader['batch_sampler'].update(drop_last=False)
train_dataloader.update(batch_size=128)
