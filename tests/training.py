"""Short real trainings: the CPU config of a method, on images made here, by the commands a user types."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from mmssl.checkpoint import read_parts
from mmssl.models.algorithms.base import build

ROOT = Path(__file__).parent.parent
NUM_IMAGES, BATCH = 112, 16  # seven iterations an epoch


class WithDropout(nn.Module):
    """A neck with dropout before it, so that randomness that belongs to no sample is in every test."""

    def __init__(self, neck: dict) -> None:
        super().__init__()
        self.dropout, self.neck = nn.Dropout(0.3), build(neck)
        self.out_channels = self.neck.out_channels

    def forward(self, features: Tensor) -> Tensor:
        return self.neck(self.dropout(features))


def make_images(folder: Path, count: int = NUM_IMAGES) -> Path:
    """Noise in colours, in two class folders; the same on every call."""
    generator = np.random.default_rng(0)
    for index in range(count):
        path = folder / f'class{index % 2}' / f'{index:04d}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(path)
    return folder


def make_config(path: Path, base: str, images: Path, workers: int = 0, extra: str = '') -> Path:
    """A config that inherits ``base`` (below configs/) and trains two epochs on ``images``."""
    module = base.removesuffix('.py').replace('/', '.')
    path.write_text(
        f"""
from mmengine.config import read_base
from tests.training import WithDropout
with read_base():
    from mmssl.configs.{module} import *
model['neck'] = dict(type=WithDropout, neck=model['neck'])
train_dataloader.update(batch_size={BATCH}, num_workers={workers})
for part in ('gallery', 'query'):
    evaluation[part]['source'].update(root={str(images)!r})
del part
train_dataloader['dataset']['source'] = dict(evaluation['gallery']['source'])
evaluation.update(num_workers=0)
train_cfg.update(max_epochs=2)
default_hooks['checkpoint'].update(interval=3, by_epoch=False, max_keep_ckpts=-1)
{extra}
"""
    )
    return path


def environment(**more: str) -> dict[str, str]:
    """The environment of a command: this tree first, one thread a process."""
    return {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', **more}


def command(config: Path, work_dir: Path, *options: str, processes: int = 1) -> list[str]:
    """The training command for one process, or for several over gloo."""
    options = ('--work-dir', str(work_dir), *options)
    if processes == 1:
        return [sys.executable, str(ROOT / 'tools/train.py'), str(config), *options]
    return ['bash', str(ROOT / 'tools/dist_train.sh'), str(config), str(processes), *options]


def train(config: Path, work_dir: Path, *options: str, processes: int = 1) -> Path:
    """Train to the end; gives the work directory, and raises with the output where the command fails."""
    path = {'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}'}
    run = subprocess.run(
        command(config, work_dir, *options, processes=processes),
        cwd=ROOT,
        env=environment(**path),
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise RuntimeError(f'{run.stdout[-3000:]}\n{run.stderr[-6000:]}')
    return work_dir


def differences(one: Path, other: Path) -> list[str]:
    """What is not the same, bit for bit, in the two checkpoints: weights, memories with what is in parts beside the
    file, optimizer, schedules, losses.
    """
    first, second = (torch.load(path, weights_only=True) for path in (one, other))
    for checkpoint, path in ((first, one), (second, other)):
        checkpoint['parts'] = read_parts(checkpoint, path)
    parts = ('state_dict', 'parts', 'optimizer', 'param_schedulers')
    unequal = [place for part in parts for place in _unequal(first[part], second[part], part)]
    losses = [checkpoint['message_hub']['log_scalars']['train/loss'] for checkpoint in (first, second)]
    return (
        unequal
        + _unequal(*losses, 'train/loss')
        + _unequal(first['meta']['progress'], second['meta']['progress'], 'progress')
    )


def _unequal(one: object, other: object, place: str) -> list[str]:
    if isinstance(one, dict):
        if one.keys() != other.keys():
            return [place]
        return [found for key in one for found in _unequal(one[key], other[key], f'{place}.{key}')]
    if isinstance(one, (list, tuple)):
        if len(one) != len(other):
            return [place]
        return [found for index, pair in enumerate(zip(one, other)) for found in _unequal(*pair, f'{place}[{index}]')]
    if isinstance(one, Tensor):
        return [] if one.dtype == other.dtype and torch.equal(one, other) else [place]
    return [] if one == other else [place]
