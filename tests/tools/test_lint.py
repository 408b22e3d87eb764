"""The same checks before a commit and in CI, by the same releases; what the repository says of itself."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

import mmssl
from tests.training import ROOT

HOOKS = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())['repos'][0]['hooks']
LINT = (ROOT / 'tools/lint.sh').read_text()
STAGES = [
    'tools/lint.sh',
    'tools/quickstart.sh',
    'tools/build_docs.sh',
    'tools/install_transfer.sh',
    'tools/run_tests.sh',
]


def test_ci_and_the_hook_before_a_commit_use_the_same_releases():
    lines = (ROOT / 'requirements/lint.txt').read_text().splitlines()
    pinned = {line for line in lines if line and not line.startswith('#')}
    assert {requirement for hook in HOOKS for requirement in hook['additional_dependencies']} == pinned


@pytest.mark.parametrize('hook', HOOKS, ids=lambda hook: hook['id'])
def test_ci_checks_what_the_hook_checks(hook):
    command, *options = hook['entry'].replace(' --fix', '').split()
    assert re.search(rf'\$lint/bin/{command}" {re.escape(" ".join(options))}' if options else f'bin/{command}"', LINT)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with .ci/run, whose stages only say that they ran."""
    (tmp_path / '.ci').mkdir()
    shutil.copy(ROOT / '.ci/run', tmp_path / '.ci/run')
    for name in STAGES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f'echo ran {name}\n')
    (tmp_path / 'python').mkdir()
    (tmp_path / 'python/bin').mkdir()
    (tmp_path / 'python/bin/python').write_text('#!/bin/sh\necho ran "$1"\n')
    (tmp_path / 'python/bin/python').chmod(0o755)
    return tmp_path


def run_ci(checkout: Path) -> tuple[int, list[str]]:
    env = {'PATH': '/usr/bin:/bin', 'MMSSL_VENV': str(checkout / 'python')}
    run = subprocess.run(['bash', '.ci/run'], cwd=checkout, env=env, capture_output=True, text=True, check=False)
    return run.returncode, run.stdout.splitlines()


def test_ci_runs_every_stage_and_ends_with_its_minutes(checkout):
    code, lines = run_ci(checkout)
    assert code == 0
    ran = [line.removeprefix('ran ') for line in lines if line.startswith('ran ')]
    scripts = [f'tools/benchmarks/{name}.py' for name in ('keeps_time', 'loss_bits')]
    assert ran == [*STAGES[:2], *scripts, *STAGES[2:]]
    assert lines[-7:] == [
        f'   0.0 minutes  {name}'
        for name in (
            'lint',
            'quickstart',
            'time under load',
            'loss bits',
            'documentation',
            'transfer packages',
            'tests',
        )
    ]


def test_ci_stops_at_the_first_stage_that_fails_and_says_which(checkout):
    (checkout / 'tools/build_docs.sh').write_text('exit 3\n')
    code, lines = run_ci(checkout)
    assert code == 3
    assert lines[-1] == '   0.0 minutes  documentation (failed)'
    assert 'ran tools/run_tests.sh' not in lines


def test_the_citation_has_what_its_format_requires_and_the_version_of_the_package():
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert citation['cff-version'] == '1.2.0'
    assert {'message', 'title', 'authors'} <= citation.keys()
    assert citation['authors'] == [{'name': 'The mmssl authors'}]
    assert citation['version'] == mmssl.__version__
