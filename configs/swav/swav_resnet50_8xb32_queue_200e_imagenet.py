"""SwAV with queue, 200 epochs, batch 256 (the authors' small-batch recipe; 72.7 % linear in their table)."""

from mmengine.config import read_base

from mmssl.engine.hooks import GradientDropHook
from mmssl.models import Queue

with read_base():
    from .swav_resnet50_64xb64_200e_imagenet import *

model.update(queue=dict(type=Queue, length=3840, start_epoch=15))
train_dataloader.update(batch_size=32)
optim_wrapper['optimizer'].update(lr=0.6)
param_scheduler.update(warmup=0)
auto_scale_lr.update(base_batch_size=256)
custom_hooks = [dict(type=GradientDropHook, parameters='prototypes', steps=5005)]  # one epoch
