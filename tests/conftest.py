"""What many tests share: golden vectors, processes that talk over gloo, and configs whose texts cost no time."""

import json
import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.commands import ANEW

torch.set_num_threads(1)
if torch.backends.cpu.get_cpu_capability() == 'AVX2':
    # The gradient of a 1x1 convolution with stride 2 for fewer than eight input channels that lie last in memory
    # corrupts the heap there (torch 2.14.1). Only the narrow networks of the tests have one. Commands that tests start
    # inherit this.
    os.environ.setdefault('ONEDNN_MAX_CPU_ISA', 'AVX')


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for the long form of slow tests, which CI has no time for."""
    parser.addoption(
        '--long',
        action='store_true',
        help='all CPU configs in tests of state, all mutations, no forks of commands',
    )


def pytest_configure(config: pytest.Config) -> None:
    """Start commands anew with ``--long``."""
    if config.getoption('long'):
        os.environ[ANEW] = '1'


GOLDEN = Path(__file__).parent / 'golden'


def golden(name: str) -> dict[str, Any]:
    """A golden file by its path under tests/golden: arrays as tensors, ``cfg`` and JSON files as dictionaries."""
    path = GOLDEN / name
    if path.suffix == '.json':
        return json.loads(path.read_text())
    with np.load(path) as arrays:
        return {
            key: json.loads(str(value)) if value.dtype.kind == 'U' else torch.from_numpy(np.array(value))
            for key, value in arrays.items()
        }


class Ranks:
    """Processes over gloo, started once a world size and kept; call it to run a function on every rank."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.groups = folder, {}

    def __call__(self, world_size: int, function: Callable, *args: Any) -> list[Any]:
        """Run ``function(*args)`` on ranks 0 to ``world_size - 1``; gives the results in rank order."""
        connections = self.groups.get(world_size) or self._start(world_size)
        for connection in connections:
            connection.send((function, args))
        answers = [connection.recv() for connection in connections]
        errors = [answer for kind, answer in answers if kind == 'error']
        if errors:
            raise RuntimeError('\n'.join(errors))
        return [answer for _, answer in answers]

    def _start(self, world_size: int) -> list:
        context = multiprocessing.get_context('forkserver')
        context.set_forkserver_preload(['tests.conftest', 'mmssl.models', 'mmssl.engine'])  # once for all ranks
        self.groups[world_size] = []
        for rank in range(world_size):
            ours, theirs = context.Pipe()
            context.Process(target=_serve, args=(theirs, rank, world_size, str(self.folder)), daemon=True).start()
            self.groups[world_size].append(ours)
        return self.groups[world_size]


def _serve(connection: Any, rank: int, world_size: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ['LOCAL_RANK'] = str(rank)
    store = f'file://{folder}/store_{world_size}'
    torch.distributed.init_process_group('gloo', init_method=store, rank=rank, world_size=world_size)
    while True:
        try:
            function, args = connection.recv()
        except EOFError:  # the tests are over
            return torch.distributed.destroy_process_group()
        try:
            connection.send(('result', function(*args)))
        except Exception:  # handed to the test, which raises it
            connection.send(('error', f'rank {rank}: {traceback.format_exc()}'))


@pytest.fixture(scope='session', autouse=True)
def unformatted_config_texts() -> Iterator[None]:
    """MMEngine lays out the text of a config three times per runner, seconds each; no test reads the layout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('yapf.yapflib.yapf_api.FormatCode', lambda text, **_: (text, False))
        yield


@pytest.fixture(scope='session')
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ranks]:
    """Run a function on several gloo processes: ``ranks(2, function, *args)``."""
    yield Ranks(tmp_path_factory.mktemp('gloo'))
