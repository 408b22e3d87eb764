"""The image of clusters, drawn from what runs leave behind."""

import pytest

from tests.helpers.commands import run_command
from tests.small import small_config
from tests.training import ROOT


def _run(*arguments):
    return run_command(ROOT / 'tools/analysis_tools/cluster_health.py', *arguments)


@pytest.fixture
def odc(tmp_path):
    from mmssl.engine import Runner
    from mmssl.models import ODC, ODCNeck

    config = small_config(tmp_path / 'odc', train_dataloader__dataset__views__counts=[1])
    clusters = {'num_clusters': 4, 'dim': 8, 'min_cluster': 5, 'centroid_interval': 2}
    model = {key: config.model[key] for key in ('data_preprocessor', 'backbone')}
    neck = {'type': ODCNeck, 'in_channels': 32, 'hidden_channels': 16, 'out_channels': 8}
    config.model = {**model, 'type': ODC, 'neck': neck, 'clusters': clusters}
    config.default_hooks['logger'] = {'type': 'LoggerHook', 'interval': 1}
    Runner.from_cfg(config).train()
    return tmp_path / 'odc'


def test_a_run_of_odc_is_drawn_and_told_in_a_table(odc, tmp_path):
    run = _run(f'ODC={odc}', '--out', tmp_path / 'health.svg')
    assert run.returncode == 0, run.stderr
    row = next(line for line in run.stdout.splitlines() if line.startswith('| ODC |'))
    smallest, median, largest = map(int, row.split('|')[5].split('/'))
    assert 0 < smallest <= median <= largest < 40
    assert 'changed cluster' in (tmp_path / 'health.svg').read_text()


def test_of_several_clusterings_the_first_is_drawn(tmp_path):
    from mmssl.engine import Runner
    from mmssl.models import CoKe, MLPNeck

    config = small_config(tmp_path / 'coke')
    neck = {'type': MLPNeck, 'in_channels': 32, 'hidden_channels': 16, 'out_channels': 8}
    model = {key: config.model[key] for key in ('data_preprocessor', 'backbone')}
    parts = {'neck': neck, 'predictor': {**neck, 'in_channels': 8}, 'clusters': {'dim': 8}, 'num_clusters': [4, 5]}
    config.model = {**model, **parts, 'type': CoKe}
    config.default_hooks['logger'] = {'type': 'LoggerHook', 'interval': 1}
    Runner.from_cfg(config).train()
    run = _run(f'CoKe={tmp_path / "coke"}', '--out', tmp_path / 'health.svg')
    row = next(line for line in run.stdout.splitlines() if line.startswith('| CoKe |'))
    smallest, median, largest = map(int, row.split('|')[5].split('/'))
    assert smallest <= 10 <= largest and smallest <= median <= largest  # four clusters, 40 images


def test_a_folder_without_clusters_is_refused_in_a_sentence(tmp_path):
    run = _run(tmp_path)
    assert run.returncode == 1 and 'No checkpoint in' in run.stderr and 'Traceback' not in run.stderr
