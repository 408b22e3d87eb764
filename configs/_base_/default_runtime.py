"""Hooks and settings that all runs share."""

from mmssl.engine import Runner
from mmssl.engine.hooks import (
    ChanceHook,
    CheckpointHook,
    ClusterHook,
    CollapseHook,
    MemoryHook,
    OnlineKNNHook,
    ParamSchedulerHook,
    ProgressHook,
    WarmupHeadsHook,
)

runner_type = Runner
default_scope = 'mmssl'

default_hooks = dict(
    param_scheduler=dict(type=ParamSchedulerHook),
    checkpoint=dict(type=CheckpointHook, interval=10, max_keep_ckpts=3),
    memory=dict(type=MemoryHook),
    online_knn=dict(type=OnlineKNNHook, interval=10),
    collapse=dict(type=CollapseHook),
    clusters=dict(type=ClusterHook),
    chance=dict(type=ChanceHook),
    progress=dict(type=ProgressHook),
    warmup_heads=dict(type=WarmupHeadsHook),
)
custom_hooks = []

env_cfg = dict(cudnn_benchmark=True, mp_cfg=dict(mp_start_method='fork'), dist_cfg=dict(backend='nccl'))
randomness = dict(seed=0)
log_level = 'INFO'
load_from = None
resume = False
