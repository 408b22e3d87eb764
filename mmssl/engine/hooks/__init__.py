"""Hooks that serve every method; the Runner saves the state of the monitors."""

from mmssl.engine.hooks.chance_hook import ChanceHook
from mmssl.engine.hooks.checkpoint_hook import CheckpointHook
from mmssl.engine.hooks.clip_each_gradient_hook import ClipEachGradientHook
from mmssl.engine.hooks.cluster_hook import ClusterHook
from mmssl.engine.hooks.collapse_hook import CollapseHook
from mmssl.engine.hooks.gradient_drop_hook import GradientDropHook
from mmssl.engine.hooks.keep_statistics_hook import KeepStatisticsHook
from mmssl.engine.hooks.memory_hook import MemoryHook
from mmssl.engine.hooks.monitor_hook import MonitorHook
from mmssl.engine.hooks.online_knn_hook import OnlineKNNHook
from mmssl.engine.hooks.progress_hook import ProgressHook
from mmssl.engine.hooks.pull_to_start_hook import PullToStartHook
from mmssl.engine.hooks.schedule_hook import ScheduleHook
from mmssl.engine.hooks.scheduler_hook import ParamSchedulerHook
from mmssl.engine.hooks.similarity_hook import SimilarityHook
from mmssl.engine.hooks.warmup_heads_hook import WarmupHeadsHook

__all__ = [
    'ChanceHook',
    'CheckpointHook',
    'ClipEachGradientHook',
    'ClusterHook',
    'CollapseHook',
    'GradientDropHook',
    'KeepStatisticsHook',
    'MemoryHook',
    'MonitorHook',
    'OnlineKNNHook',
    'ParamSchedulerHook',
    'ProgressHook',
    'PullToStartHook',
    'ScheduleHook',
    'SimilarityHook',
    'WarmupHeadsHook',
]
