"""Training of a config: runner, loop, hooks, optimizers and schedules."""

from mmssl.engine import hooks, optimizers
from mmssl.engine.loops import EpochLoop
from mmssl.engine.runner import Runner
from mmssl.engine.schedules import WarmupCosineLR

__all__ = ['EpochLoop', 'Runner', 'WarmupCosineLR', 'hooks', 'optimizers']
