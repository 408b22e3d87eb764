"""Short real trainings: the CPU config of a method, on images made here, by the commands a user types."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from torch import Tensor, nn

from mmssl.models.algorithms.base import build
from mmssl.models.memories import EMATeacher
from tests.helpers.commands import ROOT, environment, run_command
from tests.helpers.overrides import overrides


def _cpu_configs() -> list[str]:
    """CPU configs on CIFAR-10; all CPU configs of a method that has none there, since it needs more than photos."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / 'configs').glob('*/*_cpu_*.py')):
        found.setdefault(path.parent.name, []).append(str(path.relative_to(ROOT / 'configs')))
    return [name for names in found.values() for name in [n for n in names if '_cifar10' in n] or names]


CPU_CONFIGS = _cpu_configs()
NUM_IMAGES, BATCH = 112, 16  # seven iterations an epoch


class WithDropout(nn.Module):
    """A neck with dropout before it, so that randomness that belongs to no sample is in every test."""

    def __init__(self, neck: dict) -> None:
        super().__init__()
        self.dropout, self.neck = nn.Dropout(0.3), build(neck)
        self.out_channels = self.neck.out_channels

    def forward(self, features: Tensor) -> Tensor:
        return self.neck(self.dropout(features))


def with_cpu_configs(metafunc: pytest.Metafunc) -> None:
    """Give tests that take a ``cpu_config`` those of :func:`stateful`, or all with ``--long``."""
    if 'cpu_config' in metafunc.fixturenames:
        metafunc.parametrize('cpu_config', CPU_CONFIGS if metafunc.config.getoption('long') else stateful())


@cache
def stateful() -> list[str]:
    """CPU configs for slow tests of state: those of every method with memories besides a teacher, and two others."""
    chosen, seen = [], set()
    for path in CPU_CONFIGS:
        model = build(Config.fromfile(ROOT / 'configs' / path).model)
        memories = frozenset(type(memory) for memory in model.memories().values())
        found = memories if memories <= {EMATeacher} else (path.partition('/')[0], memories)
        if found not in seen:
            chosen.append(path)
            seen.add(found)
    return chosen


def make_images(folder: Path, count: int = NUM_IMAGES) -> Path:
    """Noise in colours, in two class folders, and a table of texts, ``pairs.csv``; the same on every call."""
    generator, rows = np.random.default_rng(0), ['path,text,label']
    for index in range(count):
        path = folder / f'class{index % 2}' / f'{index:04d}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(path)
        rows.append(f'{path.relative_to(folder)},Noise of number {index}. It shows nothing else.,class{index % 2}')
    (folder / 'pairs.csv').write_text('\n'.join(rows))
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
for part in [name for name in ('neck', 'head') if name in model]:
    model[part] = dict(type=WithDropout, neck=model[part])
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


def short_config(path: Path, base: str, images: Path, workers: int = 0, processes: int = 1) -> Path:
    """As :func:`make_config`, with what stands beside the test of the method, for one process or several."""
    extra = f'train_dataloader.update(batch_size={BATCH // processes})\n{overrides().get(base.split("/")[0], "")}'
    return make_config(path, base, images, workers, extra)


def command(config: Path, work_dir: Path, *options: str, processes: int = 1) -> list[str]:
    """The training command for one process, or for several over gloo."""
    options = ('--work-dir', str(work_dir), *options)
    if processes == 1:
        return [sys.executable, str(ROOT / 'tools/train.py'), str(config), *options]
    return ['bash', str(ROOT / 'tools/dist_train.sh'), str(config), str(processes), *options]


def train(config: Path, work_dir: Path, *options: str, processes: int = 1) -> Path:
    """Train to the end; gives the work directory, and raises with the output where the command fails."""
    words = command(config, work_dir, *options, processes=processes)
    if processes == 1:
        run = run_command(*words[1:])
    else:
        path = {'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}'}
        run = subprocess.run(words, cwd=ROOT, env=environment(**path), capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f'{run.stdout[-3000:]}\n{run.stderr[-6000:]}')
    return work_dir
