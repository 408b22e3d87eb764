"""SwAV, 200 epochs, batch 4096 (the authors' recipe; 73.9 % linear in their table)."""

from mmengine.config import read_base

from mmssl.engine.hooks import GradientDropHook

with read_base():
    from .._base_.datasets.imagenet_multicrop import *
    from .._base_.default_runtime import *
    from .._base_.models.swav_resnet50 import *
    from .._base_.schedules.larc_cosine import *

custom_hooks = [dict(type=GradientDropHook, parameters='prototypes', steps=313)]  # one epoch
