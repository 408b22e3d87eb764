"""Threads of OpenMP wait for each other without spinning."""

import os
import subprocess
import sys

import pytest

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
