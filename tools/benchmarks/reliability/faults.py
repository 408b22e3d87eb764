"""Every operation on files that saving a checkpoint takes fails once, and runs are killed at any time: what is lost?

    python tools/benchmarks/reliability/faults.py [--most 100] [--kills 100]

A short training runs in forks of one process. In each fork one write, flush, rename or deletion fails: with a full
disk, with an error of the device, or with the end of the process; in further forks SIGKILL comes at a random time.
Another fork then goes on with ``--resume``. Lost is
a run that cannot go on, that goes on from before the last checkpoint that it had saved, that ends with other bits than
a run without a fault or with too many files, or that ends with anything but a sentence.
"""

import argparse
import errno
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from mmengine.config import Config

from mmssl.checkpoint import CheckpointError, latest_checkpoint, position
from mmssl.command_line import CORRECTABLE
from mmssl.datasets import ArraySource, DrawSampler, ImageDataset, MultiView, RankBatchSampler, View
from mmssl.engine import EpochLoop, Runner
from mmssl.engine.hooks import CheckpointHook, MemoryHook
from mmssl.engine.optimizers import OptimWrapper
from mmssl.models import NPID, DataPreprocessor, MLPNeck, ResNet
from mmssl.testing import differences

KINDS = ('disk full', 'device error', 'kill')
FINISHED, SENTENCE, TRACEBACK, KILLED = 0, 1, 3, -signal.SIGKILL  # exit statuses of a fork
_KEPT = 2  # checkpoints of a training
_SAVED = 'saved.txt'  # names of the checkpoints whose saving has returned


class Faults:
    """Counts the operations on files below a folder, and lets one of them fail.

    Args:
        folder: Work directory of the training.
        kind: One of :data:`KINDS`.
        target: Number of the operation that fails, from 0; -1 for none.
    """

    def __init__(self, folder: Path, kind: str = KINDS[0], target: int = -1) -> None:
        self.folder, self.kind, self.target, self.names = folder, kind, target, []

    def tick(self, name: str) -> None:
        """Note an operation, or fail."""
        self.names.append(name)
        if len(self.names) - 1 != self.target:
            return
        if self.kind == 'kill':
            os.kill(os.getpid(), signal.SIGKILL)
        number = errno.ENOSPC if self.kind == 'disk full' else errno.EIO
        raise OSError(number, os.strerror(number))

    def before(self, name: str, function: Callable) -> Callable:
        """The function, counted where its first argument lies in the folder or is the number of an open file."""

        def counted(first: Any, *more: Any, **settings: Any) -> Any:
            if isinstance(first, int) or self.folder in Path(first).parents:
                self.tick(name)
            result = function(first, *more, **settings)
            return _CountedFile(result, self) if name == 'open' and '.checkpoint' in str(first) else result

        return counted

    def __enter__(self) -> 'Faults':
        methods = {'replace': 'rename', 'unlink': 'delete', 'write_text': 'note', 'open': 'open'}
        self.patches = [patch.object(Path, name, self.before(of, getattr(Path, name))) for name, of in methods.items()]
        self.patches.append(patch('mmssl.files.os.fsync', self.before('flush', os.fsync)))
        for each in self.patches:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in self.patches:
            each.stop()


class _CountedFile:
    """An open file whose writes are counted."""

    def __init__(self, file: Any, faults: Faults) -> None:
        self.file, self.faults = file, faults

    def write(self, content: Any) -> int:
        self.faults.tick('write')
        return self.file.write(content)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> '_CountedFile':
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


class NotedCheckpoints(CheckpointHook):
    """Notes each checkpoint whose saving has returned."""

    def _save(self, runner: Any, name: str) -> None:
        super()._save(runner, name)
        with os.fdopen(os.open(f'{runner.work_dir}/{_SAVED}', os.O_WRONLY | os.O_CREAT | os.O_APPEND), 'w') as file:
            file.write(f'{name}\n')  # not by Path.open, which is counted


def config_of(folder: Path, images: Path) -> Config:
    """A training with a bank: two epochs of four steps, a checkpoint every two steps, of which two are kept."""
    dataset = {'type': ImageDataset, 'source': {'type': ArraySource, 'images': str(images)}}
    views = {'type': MultiView, 'counts': [1], 'views': [{'type': View, 'size': 12}]}
    return Config({
        'model': {
            'type': NPID, 'num_negatives': 4, 'bank': {'dim': 8}, 'data_preprocessor': {'type': DataPreprocessor},
            'backbone': {'type': ResNet, 'depth': 10, 'stem': 'small', 'base_channels': 8},
            'neck': {'type': MLPNeck, 'in_channels': 64, 'hidden_channels': 8, 'out_channels': 8},
        },
        'train_dataloader': {
            'batch_size': 4, 'num_workers': 0, 'dataset': {**dataset, 'views': views},
            'sampler': {'type': DrawSampler}, 'batch_sampler': {'type': RankBatchSampler},
        },
        'optim_wrapper': {'type': OptimWrapper, 'optimizer': {'type': 'SGD', 'lr': 0.1, 'momentum': 0.9}},
        'train_cfg': {'type': EpochLoop, 'max_epochs': 2},
        'default_hooks': {
            'memory': {'type': MemoryHook},
            'checkpoint': {'type': NotedCheckpoints, 'interval': 2, 'by_epoch': False, 'max_keep_ckpts': _KEPT},
        },
        'work_dir': str(folder), 'experiment_name': f'faults_{folder.name}', 'log_level': 'ERROR',
    })  # fmt: skip


def in_fork(work: Callable[[], object], seconds: float | None = None) -> int:
    """Exit status of a fork that does the work, and is killed after so many seconds."""
    child = os.fork()
    if child:
        if seconds is not None:
            time.sleep(seconds)
            os.kill(
                child, signal.SIGKILL
            )  # it may have ended before; it is not waited for yet, so its number is its own
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = TRACEBACK
    try:
        work()
        status = FINISHED
    except CORRECTABLE:
        status = SENTENCE
    finally:
        os._exit(status)


def train(folder: Path, images: Path, faults: Faults | None = None, resume: bool = False) -> None:
    """Train to the end, with a fault on the way."""
    cfg = config_of(folder, images)
    cfg.resume = resume
    runner = Runner.from_cfg(cfg)
    if faults is None:
        runner.train()
        return
    with faults:
        runner.train()


def operations(folder: Path, images: Path) -> list[str]:
    """The operations of a training without a fault, whose last checkpoint is the one to compare with."""
    faults = Faults(folder)
    train(folder, images, faults)
    return faults.names


def loss_of(folder: Path, images: Path, reference: Path, status: int) -> str:
    """What the end of a training has cost; '' for nothing."""
    if status not in (FINISHED, SENTENCE, KILLED):
        return 'a traceback'
    saved = (folder / _SAVED).read_text().split() if (folder / _SAVED).exists() else []
    try:
        found = latest_checkpoint(folder)
    except CheckpointError as error:
        return f'no readable checkpoint ({error})'
    if saved and (found is None or position(found[0]) < position(folder / saved[-1])):
        return f'{saved[-1]} had been saved, but the newest is {found[0].name if found else "none"}'
    ended = found is not None and position(found[0]) == position(reference)  # no later write deletes what is left
    if in_fork(lambda: train(folder, images, resume=True)) != FINISHED:
        return 'the run does not go on'
    last = latest_checkpoint(folder)
    assert last is not None  # a run has just ended here
    apart, number = differences(reference, last[0]), len(list(folder.glob('*.pth*')))
    too_many = number > _KEPT + ended
    return f'other bits in {apart[:2]}' if apart else f'{number} checkpoints are left' if too_many else ''


def main() -> None:
    """Try the operations, and print what was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--most', type=int, default=100, help='operations of each kind of fault, drawn at random')
    parser.add_argument('--kills', type=int, default=100, help='runs that are killed at a random time')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix='mmssl_faults_') as place:
        images = Path(place) / 'images.npy'
        np.save(images, np.random.default_rng(0).integers(0, 255, (16, 16, 16, 3), dtype=np.uint8))
        names, start = operations(Path(place) / 'warm', images), time.monotonic()
        train(Path(place) / 'whole', images)
        length = time.monotonic() - start
        reference = Path(place) / 'whole/epoch_2.pth'
        generator, lost, hit = random.Random(args.seed), [], 0
        for kind in KINDS:
            # each rename, deletion and flush, and some of the many writes
            rare = [number for number, name in enumerate(names) if name != 'write']
            order = generator.sample(range(len(names)), len(names))
            targets = generator.sample(rare, min(len(rare), args.most // 2))
            targets += [number for number in order if number not in targets][: args.most - len(targets)]
            for target in targets:
                folder = Path(place) / f'{kind.replace(" ", "_")}_{target}'
                status = in_fork(partial(train, folder, images, Faults(folder, kind, target)))
                cost = loss_of(folder, images, reference, status)
                lost += [f'{kind} at operation {target} ({names[target]}): {cost}'] if cost else []
            print(f'{kind}: {len(targets)} of {len(names)} operations ({_summary(names)})', flush=True)
        for number in range(args.kills):
            folder, seconds = Path(place) / f'killed_{number}', generator.uniform(0, 2 * length)
            status = in_fork(partial(train, folder, images), seconds)
            cost = loss_of(folder, images, reference, status)
            lost += [f'SIGKILL after {seconds:.3f} s: {cost}'] if cost else []
            hit += status == KILLED
        print(f'SIGKILL at any time: {args.kills} runs, of which {hit} had not ended')
    print('\n'.join(lost) or 'lost: nothing')
    sys.exit(bool(lost))


def _summary(names: list[str]) -> str:
    return ', '.join(f'{count} {name}' for name, count in Counter(names).items())


if __name__ == '__main__':
    main()
