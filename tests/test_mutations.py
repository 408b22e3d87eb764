"""The suite notices each of these one-line faults: a slow test puts them into a copy of the tree, one by one.

A test file lists the faults that it notices in ``MUTATIONS``; nothing is registered here. A commit takes every
sixteenth of them, the next commit others; ``--long`` takes all.
"""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.mutation import Mutation, mutations
from tests.training import ROOT, environment


class Forks:
    """pytest on copies of the tree, in forks of one process.

    Attributes:
        noticed: The test that failed, by the fault that it noticed.
    """

    def __init__(self, server: subprocess.Popen, folder: Path) -> None:
        self.server, self.folder, self.noticed = server, folder, {}

    def __call__(self, tree: Path, *arguments: str) -> tuple[int, list[str], str]:
        """Run tests of a tree; gives pytest's exit status, the tests that failed, and what was printed."""
        log, failed = self.folder / 'log.txt', self.folder / 'failed.json'
        log.unlink(missing_ok=True)
        failed.write_text('[]')
        # A hanging test turns red before this one does, or its answer would be taken for the next one's.
        arguments = ['-q', '--timeout=300', *arguments]
        request = {'folder': str(tree), 'arguments': arguments, 'log': str(log), 'failed': str(failed)}
        self.server.stdin.write(json.dumps(request) + '\n')
        self.server.stdin.flush()
        return int(self.server.stdout.readline()), json.loads(failed.read_text()), log.read_text()

    def control(self, tree: Path) -> None:
        """Run the tests that failed in a tree without a fault, where they must pass.

        Raises:
            AssertionError: If one fails here too: it has noticed something else than its fault.
        """
        status, failed, said = self(tree, *sorted(set(self.noticed.values())))
        faults = [fault for fault, test in self.noticed.items() if test in failed]
        assert status == 0, f'control failed, the tests are red without the fault too: {faults}\n{said[-4000:]}'


def _copy(folder: Path) -> Path:
    ignore = shutil.ignore_patterns('.git', '.venv', 'work_dirs', 'data', '__pycache__', '.*_cache', '.lint')
    return Path(shutil.copytree(ROOT, folder / 'tree', symlinks=True, ignore=ignore))


def _mutated(mutation: Mutation, folder: Path) -> Path:
    tree = _copy(folder)
    file = tree / mutation.file
    text = file.read_text()
    assert text.count(mutation.old) == 1, f'{mutation.file} has the line {text.count(mutation.old)} times, not once'
    file.write_text(text.replace(mutation.old, mutation.new))
    return tree


@pytest.fixture(scope='module')
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Give pytest in forks; after the last mutation, the tests that noticed one run once on the tree as it is."""
    folder = tmp_path_factory.mktemp('forks')
    program = [sys.executable, str(ROOT / 'tests/forked_pytest.py')]
    pipes = {'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE, 'text': True}
    with subprocess.Popen(program, env=environment(), **pipes) as server:
        forks = Forks(server, folder)
        yield forks
        if forks.noticed:
            forks.control(_copy(folder))


def test_every_fault_has_a_name_of_its_own_and_its_line_stands_once_in_its_file():
    wrong = [
        f'{mutation.fault}: {count} times'
        for mutation in mutations()
        if (count := (ROOT / mutation.file).read_text().count(mutation.old)) != 1
    ]
    assert wrong == []
    names = [mutation.fault for mutation in mutations()]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize('entry', ["('a', 'b', 'c', 'd')", "Mutation('a', FILE, 'c', 'd')", "Mutation('a', 'b')"])
def test_an_entry_that_cannot_be_read_without_importing_its_file_is_refused(entry, tmp_path):
    (tmp_path / 'tests').mkdir()
    (tmp_path / 'tests/test_it.py').write_text(f'x = 1\nMUTATIONS = [\n    {entry},\n]\n')
    with pytest.raises(ValueError, match='tests/test_it.py:3 is not read: MUTATIONS is a list of Mutation'):
        mutations(tmp_path / 'tests')


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if 'mutation' in metafunc.fixturenames:
        chosen = mutations() if metafunc.config.getoption('long') else mutations()[_commits() % 16 :: 16]
        metafunc.parametrize('mutation', chosen, ids=lambda mutation: mutation.fault.replace(' ', '_'))


def _commits() -> int:
    """Number of commits up to this one; 0 in a tree without git."""
    counted = subprocess.run(['git', 'rev-list', '--count', 'HEAD'], cwd=ROOT, capture_output=True, text=True)
    return int(counted.stdout or 0)


@pytest.mark.slow
def test_the_suite_turns_red(mutation: Mutation, tmp_path: Path, forks: Forks):
    if mutation.tests.startswith('tests/transfer'):
        pytest.importorskip('mmcv._ext', reason='bash tools/install_transfer.sh installs what is missing')
    status, failed, said = forks(_mutated(mutation, tmp_path), '-x', *shlex.split(mutation.tests))
    assert status == 1, f'not noticed: {mutation.fault}\n{said[-4000:]}'
    assert failed, f'{mutation.fault}: the tests could not be run\n{said[-4000:]}'
    forks.noticed[mutation.fault] = failed[0]


@pytest.mark.slow
def test_a_fault_that_was_there_before_the_mutation_fails_the_control(tmp_path: Path, forks: Forks):
    tree = _copy(tmp_path)
    (tree / 'tests/test_red.py').write_text('def test_red():\n    assert 1 == 2\n')
    broken = Forks(forks.server, tmp_path)
    broken.noticed = {'a fault': 'tests/test_red.py::test_red', 'another': 'tests/functional/test_randomness.py'}
    with pytest.raises(AssertionError, match=r"control failed, .*: \['a fault'\]"):
        broken.control(tree)
