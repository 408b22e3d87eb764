"""A training of seconds, in this process: SwAV on noise read from an array."""

from copy import deepcopy
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from mmssl.datasets import ArraySource, DrawSampler, EvalView, ImageDataset, MultiView, RankBatchSampler, View
from mmssl.engine import EpochLoop, Runner, WarmupCosineLR
from mmssl.engine.hooks import CheckpointHook, MemoryHook, ParamSchedulerHook
from mmssl.engine.optimizers import OptimWrapper
from mmssl.models import DataPreprocessor, MLPNeck, Prototypes, ResNet, SwAV

_RUNS = count()


def small_config(work_dir: Path, num_samples: int = 40, labels: bool = True, **overrides: Any) -> Config:
    """Five iterations an epoch, two epochs; ``overrides`` in dotted form with ``__`` for the dots."""
    images = np.random.default_rng(0).integers(0, 255, (num_samples, 16, 16, 3), dtype=np.uint8)
    path = Path(work_dir) / 'images.npy'
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, images)
    source = {'type': ArraySource, 'images': str(path)}
    if labels:
        np.save(path.with_name('labels.npy'), np.arange(num_samples) % 2)
        source['labels'] = str(path.with_name('labels.npy'))
    dataset = {'type': ImageDataset, 'source': source}
    views = {'type': MultiView, 'counts': [2], 'views': [{'type': View, 'size': 12}]}
    plain = {**dataset, 'views': {'type': EvalView, 'resize': 16, 'crop': 16}}
    config = Config({
        'model': {
            'type': SwAV,
            'data_preprocessor': {'type': DataPreprocessor},
            'backbone': {'type': ResNet, 'depth': 10, 'stem': 'small', 'base_channels': 4},
            'neck': {'type': MLPNeck, 'in_channels': 32, 'hidden_channels': 16, 'out_channels': 8},
            'prototypes': {'type': Prototypes, 'dim': 8, 'num_prototypes': 4},
            'queue': {'length': 16},
        },
        'train_dataloader': {
            'batch_size': 8, 'num_workers': 0, 'dataset': {**dataset, 'views': views},
            'sampler': {'type': DrawSampler}, 'batch_sampler': {'type': RankBatchSampler},
        },
        'evaluation': {'gallery': plain, 'query': plain, 'batch_size': 20, 'num_workers': 0},
        'optim_wrapper': {'type': OptimWrapper, 'optimizer': {'type': 'SGD', 'lr': 0.1, 'momentum': 0.9}},
        'param_scheduler': {'type': WarmupCosineLR, 'warmup': 1, 'convert_to_iter_based': True},
        'train_cfg': {'type': EpochLoop, 'max_epochs': 2},
        'default_hooks': {
            'memory': {'type': MemoryHook}, 'param_scheduler': {'type': ParamSchedulerHook},
            'checkpoint': {'type': CheckpointHook},
        },
        'custom_hooks': [],
        'experiment_name': f'small_{next(_RUNS)}',  # MMEngine shares logs between runs of one name
        'work_dir': str(work_dir),
        'randomness': {'seed': 0},
        'log_level': 'WARNING',
    })  # fmt: skip
    # copies, since MMEngine removes _delete_ from what it merges
    config.merge_from_dict({name.replace('__', '.'): deepcopy(value) for name, value in overrides.items()})
    return config


def small_runner(work_dir: Path, **overrides: Any) -> Runner:
    """A runner for :func:`small_config`."""
    return Runner.from_cfg(small_config(work_dir, **overrides))
