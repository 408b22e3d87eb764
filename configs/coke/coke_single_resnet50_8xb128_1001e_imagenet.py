"""CoKe with one view, 1,000 epochs after one that only clusters, batch 1,024 (the authors' recipe; 72.5 % linear)."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.imagenet_simclr import *
    from .._base_.default_runtime import *
    from .._base_.models.coke_resnet50 import *
    from .._base_.schedules.lars_idle_cosine_1001e import *

model.update(large_views=1, temperature=0.1)
model['clusters'].update(soft_from=801, num_slots=5, soft_temperature=0.5)
train_dataloader['dataset']['views'].update(counts=[1])
train_dataloader['batch_sampler'].update(drop_last=False)
train_dataloader.update(batch_size=128)
