"""Worker processes of data loaders, and signals that are meant for their parent."""

import os
import signal
import subprocess
import time

import pytest
from torch.utils.data import DataLoader

from mmssl.datasets.workers import start_worker
from tests.helpers.mutation import Mutation


class ProcessIds:
    """The process that loads each entry."""

    def __getitem__(self, index: int) -> int:
        return os.getpid()

    def __len__(self) -> int:
        return 100


@pytest.fixture
def loading():
    """An iterator with one worker, which runs, and the worker's process id."""
    entries = iter(DataLoader(ProcessIds(), batch_size=1, num_workers=1, worker_init_fn=start_worker))
    return entries, int(next(entries))


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1], ids=lambda number: number.name)
def test_a_signal_from_elsewhere_does_not_end_a_worker(loading, number):
    entries, worker = loading
    assert worker != os.getpid()
    subprocess.run(['/bin/sh', '-c', f'kill -{int(number)} {worker}'], check=True)
    time.sleep(0.1)
    assert [int(entry) for entry in entries] == [worker] * 99


def test_the_parent_ends_a_worker_by_sigterm(loading):
    entries, _ = loading
    (worker,) = entries._workers
    worker.terminate()
    worker.join(timeout=10)
    assert worker.exitcode == 0


MUTATIONS = [
    Mutation(
        'a signal of a scheduler ends the workers',
        'mmssl/datasets/workers.py',
        'signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})',
        'return',
    ),
    Mutation(
        'a worker outlives its parent and waits for it',
        'mmssl/datasets/workers.py',
        '.si_pid != parent:',
        '.si_pid:',
    ),
]
