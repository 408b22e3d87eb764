"""A process that trains is set up for CPUs: threads wait without spinning, and malloc asks for huge pages."""

import os
import subprocess
import sys
from contextlib import nullcontext, suppress

import pytest

from mmssl import command_line
from mmssl.commands import COMMANDS, main
from tests.helpers.mutation import Mutation
from tests.training import ROOT

# Notes the policy at the moment when torch is looked for, which is when OpenMP reads it.
WATCH = """
import os, runpy, sys
class Watch:
    def find_spec(self, name, *_):
        if name == 'torch':
            print('policy', os.environ.get('OMP_WAIT_POLICY'))
            sys.exit()
sys.meta_path.insert(0, Watch())
runpy.run_path(sys.argv[1])
import torch
"""


def _policy(tool: str, **more: str) -> str:
    clean = {name: value for name, value in os.environ.items() if name != 'OMP_WAIT_POLICY'}
    environment = {**clean, 'PYTHONPATH': str(ROOT), **more}
    words = [sys.executable, '-c', WATCH, str(ROOT / 'tools' / tool)]
    return subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize('tool', ['train.py', 'test.py', 'quickstart.py'])
def test_a_tool_sets_the_policy_before_torch_is_imported(tool):
    assert _policy(tool) == 'policy PASSIVE\n'


def test_the_policy_of_the_user_stays():
    assert _policy('train.py', OMP_WAIT_POLICY='ACTIVE') == 'policy ACTIVE\n'


RESTART = """
import os, sys
from mmssl.command_line import restart_with_huge_pages
print(os.getpid(), os.environ.get('GLIBC_TUNABLES'), sys.argv[1:], flush=True)
restart_with_huge_pages()
"""


def test_a_process_starts_again_once_with_the_same_words_and_number(tmp_path):
    if '[madvise]' not in command_line._HUGE_PAGES.read_text():
        pytest.skip('Linux gives no huge pages on request here')
    (tmp_path / 'script.py').write_text(RESTART)
    clean = {name: value for name, value in os.environ.items() if name != 'GLIBC_TUNABLES'}
    words = [sys.executable, str(tmp_path / 'script.py'), 'some words', '--more']
    done = subprocess.run(words, env={**clean, 'PYTHONPATH': str(ROOT)}, check=True, capture_output=True, text=True)
    first, second = (line.split(maxsplit=2) for line in done.stdout.splitlines())
    assert first[1] == 'None' and second[1] == 'glibc.malloc.hugetlb=1'
    assert first[0] == second[0] and first[2] == second[2] == "['some words', '--more']"


@pytest.mark.parametrize('pages', ['always [madvise] never', '[always] madvise never', 'always madvise [never]', None])
@pytest.mark.parametrize('chosen', [None, 'glibc.malloc.check=1'])
def test_it_starts_again_only_where_that_helps_and_the_user_has_chosen_nothing(pages, chosen, tmp_path, monkeypatch):
    started, file = [], tmp_path / 'enabled'
    if pages:
        file.write_text(pages)
    monkeypatch.setattr(command_line, '_HUGE_PAGES', file)
    monkeypatch.setattr(command_line.os, 'execv', lambda *words: started.append(words))
    monkeypatch.setenv('GLIBC_TUNABLES', str(chosen))  # is restored afterwards
    if not chosen:
        monkeypatch.delenv('GLIBC_TUNABLES')
    command_line.restart_with_huge_pages()
    wanted = pages == 'always [madvise] never' and not chosen
    assert len(started) == wanted
    assert os.environ.get('GLIBC_TUNABLES') == (chosen or ('glibc.malloc.hugetlb=1' if wanted else None))


@pytest.mark.parametrize(
    ('typed', 'program', 'own'),
    [
        (['-u', 'tools/train.py', 'config.py'], 'tools/train.py', True),
        (['/venv/bin/mmssl', 'config.py'], '/venv/bin/mmssl', True),
        (['-m', 'mmssl', 'config.py'], '/site-packages/mmssl/__main__.py', True),
        (['-m', 'ipykernel_launcher', '-f', 'kernel.json'], 'tools/train.py', False),
        (['-m', 'pytest', 'config.py'], 'tools/train.py', False),
        (['-c', 'import mmssl.commands'], '-c', False),
    ],
)
def test_a_process_that_was_started_for_something_else_is_known(typed, program, own, monkeypatch):
    monkeypatch.setattr(sys, 'argv', [program, 'config.py'])
    monkeypatch.setattr(sys, 'orig_argv', ['python', *typed])
    assert command_line.has_own_process() is own


@pytest.mark.parametrize('own', [True, False])
def test_only_commands_that_run_networks_start_again_and_no_call_from_python_does(own, monkeypatch):
    started = []
    monkeypatch.setattr('mmssl.commands.has_own_process', lambda: own)
    monkeypatch.setattr('mmssl.commands.restart_with_huge_pages', lambda: started.append(True))
    monkeypatch.setattr('mmssl.commands._run', lambda args: None)
    main(['report', 'work_dirs/run'])
    main(['test', 'config.py', 'checkpoint.pth'])
    assert not started
    for words, count in ((['report', 'work_dirs/run'], 0), (['test', 'config.py', 'checkpoint.pth'], 1)):
        monkeypatch.setattr(sys, 'argv', ['mmssl', *words])
        main()
        assert len(started) == (count if own else 0)
    assert [name for name, command in COMMANDS.items() if not command.computes] == ['export', 'report', 'doctor', 'zoo']


@pytest.mark.parametrize('own', [True, False])
@pytest.mark.parametrize('error', [None, SystemExit(1), KeyboardInterrupt()])
def test_a_process_ends_without_a_search_for_garbage(error, own, monkeypatch):
    ended, wanted = [], ['run', 'freeze'] if own else ['run']
    monkeypatch.setattr('mmssl.commands.has_own_process', lambda: own)

    def run(args):
        ended.append('run')
        if error:
            raise error

    monkeypatch.setattr('mmssl.commands._run', run)
    monkeypatch.setattr('mmssl.commands.gc.freeze', lambda: ended.append('freeze'))
    monkeypatch.setattr(sys, 'argv', ['mmssl', 'report', 'work_dirs/run'])
    with pytest.raises(type(error)) if error else nullcontext():
        main()
    assert ended == wanted
    with suppress(type(error or ValueError)):
        main(['report', 'work_dirs/run'])
    assert ended == [*wanted, 'run']


MUTATIONS = [
    Mutation(
        'a notebook that runs a tool is ended',
        'mmssl/command_line.py',
        'return any(sys.orig_argv',
        'return True or any(sys.orig_argv',
        'tests/test_threads.py -k something_else',
    ),
    Mutation(
        'a process starts again for ever',
        'mmssl/command_line.py',
        'if given and _TUNABLES not in os.environ:',
        'if given:',
        'tests/test_threads.py -k helps',
    ),
    Mutation(
        'the words of a process are lost when it starts again',
        'mmssl/command_line.py',
        '[sys.executable, *sys.orig_argv[1:]]',
        '[sys.executable, sys.argv[0]]',
    ),
]
