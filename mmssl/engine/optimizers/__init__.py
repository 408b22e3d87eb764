"""Optimizers that MMEngine and torch lack, and optimizer wrappers."""

from mmssl.engine.optimizers.lars import ApexLARC, FacebookLARS, OpenMMLabLARS, SoloLearnLARS
from mmssl.engine.optimizers.optim_wrapper import AmpOptimWrapper, NonFiniteLossError, OptimWrapper

__all__ = [
    'AmpOptimWrapper',
    'ApexLARC',
    'FacebookLARS',
    'NonFiniteLossError',
    'OpenMMLabLARS',
    'OptimWrapper',
    'SoloLearnLARS',
]
