"""Hooks without state and without a method's name."""

from mmssl.engine.hooks.checkpoint_hook import CheckpointHook
from mmssl.engine.hooks.gradient_drop_hook import GradientDropHook
from mmssl.engine.hooks.memory_hook import MemoryHook
from mmssl.engine.hooks.online_knn_hook import OnlineKNNHook
from mmssl.engine.hooks.progress_hook import ProgressHook
from mmssl.engine.hooks.schedule_hook import ScheduleHook
from mmssl.engine.hooks.scheduler_hook import ParamSchedulerHook

__all__ = [
    'CheckpointHook',
    'GradientDropHook',
    'MemoryHook',
    'OnlineKNNHook',
    'ParamSchedulerHook',
    'ProgressHook',
    'ScheduleHook',
]
