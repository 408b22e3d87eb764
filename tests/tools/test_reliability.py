"""Short forms of the campaigns against checkpoints."""

import re

import pytest

from tests.tools.test_evaluation_tools import run


@pytest.mark.slow
def test_no_operation_on_files_that_fails_loses_a_checkpoint():
    said = run('tools/benchmarks/reliability/faults.py', '--most', 6)
    assert said.splitlines()[-1] == 'lost: nothing'
    counts = re.findall(r'6 of \d+ operations \(10 open, \d+ write, 10 flush, 5 rename, 5 note, \d+ delete\)', said)
    assert len(counts) == 3
