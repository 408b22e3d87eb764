"""The suite notices each of these one-line faults: a slow test puts them into a copy of the tree, one by one.

A test file lists the faults that it notices in ``MUTATIONS``; nothing is registered here.
"""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.mutation import Mutation, mutations
from tests.training import ROOT, environment


def _mutated(mutation: Mutation, folder: Path) -> Path:
    tree = folder / 'tree'
    ignore = shutil.ignore_patterns('.git', '.venv', 'work_dirs', 'data', '__pycache__', '.pytest_cache', '.ruff_cache')
    shutil.copytree(ROOT, tree, symlinks=True, ignore=ignore)
    file = tree / mutation.file
    text = file.read_text()
    assert text.count(mutation.old) == 1, f'{mutation.file} has the line {text.count(mutation.old)} times, not once'
    file.write_text(text.replace(mutation.old, mutation.new))
    return tree


@pytest.fixture(scope='module')
def pytest_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path, str], tuple[int, str]]]:
    """Run tests of a copy of the tree; gives pytest's exit status and what it printed."""
    log = tmp_path_factory.mktemp('forked') / 'log.txt'
    program = [sys.executable, str(ROOT / 'tests/forked_pytest.py')]
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    ) as server:

        def run(tree: Path, tests: str) -> tuple[int, str]:
            # A hanging test turns red before this one does, or its answer would be taken for the next one's.
            arguments = ['-x', '-q', '--timeout=300', *shlex.split(tests)]
            request = {'folder': str(tree), 'arguments': arguments, 'log': str(log)}
            log.unlink(missing_ok=True)
            server.stdin.write(json.dumps(request) + '\n')
            server.stdin.flush()
            return int(server.stdout.readline()), log.read_text()

        yield run


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


@pytest.mark.slow
@pytest.mark.parametrize('mutation', mutations(), ids=lambda mutation: mutation.fault.replace(' ', '_'))
def test_the_suite_turns_red(mutation: Mutation, tmp_path: Path, pytest_in: Callable):
    if mutation.tests.startswith('tests/transfer'):
        pytest.importorskip('mmcv._ext', reason='bash tools/install_transfer.sh installs what is missing')
    status, said = pytest_in(_mutated(mutation, tmp_path), mutation.tests)
    assert status == 1, f'not noticed: {mutation.fault}\n{said[-4000:]}'
    assert ' failed' in said, f'{mutation.fault}: the tests could not be run\n{said[-4000:]}'
