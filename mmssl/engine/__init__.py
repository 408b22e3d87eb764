"""Training of a config: runner, loop, hooks, optimizers and schedules."""

from mmssl.engine import hooks, optimizers
from mmssl.engine.loops import EpochLoop
from mmssl.engine.runner import Runner
from mmssl.engine.schedules import CosineWeightDecay, WarmupCosineLR, WarmupHalvingLR

__all__ = ['CosineWeightDecay', 'EpochLoop', 'Runner', 'WarmupCosineLR', 'WarmupHalvingLR', 'hooks', 'optimizers']
