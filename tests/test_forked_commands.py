"""A command in a fork is what it is in a process of its own."""

import pytest

from tests.helpers.commands import ANEW, run_command

SCRIPT = """
import atexit, json, os, sys
from pathlib import Path
atexit.register(print, 'the end')
print(json.dumps([sys.argv, sys.orig_argv[1:], sys.path[0], os.getcwd(), os.environ['OWN'], __name__, __file__]))
print('no good', file=sys.stderr)
print(sys.stdin.read(), json.dumps(sorted(name for name in sys.modules if name == 'pytest')))
if len(sys.argv) > 2:
    raise ValueError('a fault')
sys.exit(3)
"""


@pytest.mark.parametrize('words', [['a b'], ['a', '--fail']])
@pytest.mark.parametrize('module', [False, True])
def test_a_fork_has_the_arguments_the_surroundings_and_the_end_of_a_process(words, module, tmp_path, monkeypatch):
    (tmp_path / 'own_script.py').write_text(SCRIPT)
    words = ['-m', 'own_script', *words] if module else [tmp_path / 'own_script.py', *words]
    forked = run_command(*words, folder=tmp_path, OWN='value')
    monkeypatch.setenv(ANEW, '1')
    started = run_command(*words, folder=tmp_path, OWN='value')
    assert (forked.returncode, forked.stdout) == (started.returncode, started.stdout)
    assert forked.returncode == (1 if '--fail' in words else 3) and forked.stdout.endswith('the end\n')
    ends = [found.stderr.splitlines() for found in (forked, started)]
    assert ends[0][0] == ends[1][0] == 'no good' and ends[0][-1] == ends[1][-1]
