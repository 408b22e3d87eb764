"""SwAV, 200 epochs, batch 4096 (the authors' recipe; 73.9 % linear in their table)."""

from mmengine.config import read_base

from mmssl.engine.hooks import GradientDropHook

with read_base():
    from .._base_.datasets.imagenet_multicrop import *  # noqa: F403
    from .._base_.default_runtime import *  # noqa: F403
    from .._base_.models.swav_resnet50 import *  # noqa: F403
    from .._base_.schedules.larc_cosine import *  # noqa: F403

custom_hooks = [dict(type=GradientDropHook, parameters='prototypes', steps=313)]  # one epoch
