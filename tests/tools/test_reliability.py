"""Short forms of the campaigns against checkpoints."""

import re

import pytest

from tests.tools.test_evaluation_tools import run


@pytest.mark.slow
def test_neither_a_failing_operation_on_files_nor_a_kill_loses_a_checkpoint():
    said = run('tools/benchmarks/reliability/faults.py', '--most', 6, '--kills', 4)
    assert said.splitlines()[-1] == 'lost: nothing'
    counts = re.findall(r'6 of \d+ operations \(10 open, \d+ write, 10 flush, 5 rename, 5 note, \d+ delete\)', said)
    assert len(counts) == 3 and 'SIGKILL at any time: 4 runs' in said
