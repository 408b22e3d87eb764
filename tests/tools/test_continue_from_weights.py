"""The benchmark of runs that continue from weights: its table, its options, and weights of a port under timm's keys."""

import sys
from importlib import import_module
from types import ModuleType

import pytest
import torch

from tests.training import ROOT, make_images


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / 'tools/benchmarks')
    yield import_module('continue_from_weights')
    del sys.modules['continue_from_weights']


def test_the_table_has_mean_and_deviation_over_the_seeds_for_every_start_and_epoch(tool):
    rows = [{'epoch': 0, 'steps': 0, 'k-NN': 40.0}, {'epoch': 1, 'steps': 9, 'k-NN': 50.0}]
    other = [{**rows[0], 'k-NN': 44.0}, {**rows[1], 'k-NN': 50.0}]
    assert tool.table({'naive': {'0': rows, '1': other}, 'warm-up': {'0': rows}}).splitlines() == [
        '| start | epoch | steps | k-NN (%) |',
        '|---|---|---|---|',
        '| naive | 0 | 0 | 42.0 ± 2.8 |',
        '| naive | 1 | 9 | 50.0 ± 0.0 |',
        '| warm-up | 0 | 0 | 40.0 |',
        '| warm-up | 1 | 9 | 50.0 |',
    ]


@pytest.mark.parametrize(
    'options, words', [(['own'], 'own needs --first'), (['weights', '--then', 'x'], 'weights needs --init')]
)
def test_a_trial_without_its_data_is_refused(options, words, tool, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['continue_from_weights.py', *options])
    with pytest.raises(SystemExit):
        tool.parse_args()
    assert words in capsys.readouterr().err


def test_a_port_with_other_names_is_renamed_by_its_order(tool, tmp_path):
    timm = pytest.importorskip('timm')
    state = timm.create_model('resnet10t').state_dict()
    torch.save({f'_{place}': tensor for place, tensor in enumerate(state.values())}, tmp_path / 'port.pth')
    torch.save(state, tmp_path / 'own.pth')
    for name in ('port', 'own'):
        found = tool.named_by_timm(str(tmp_path / f'{name}.pth'), 'resnet10t')
        assert found.keys() == state.keys() and all(torch.equal(found[key], state[key]) for key in state)


@pytest.mark.slow
def test_a_benchmark_that_was_interrupted_continues_and_refuses_other_options(tool, tmp_path, monkeypatch, capsys):
    for part in ('train', 'test'):
        make_images(tmp_path / 'images' / part, 40)
    common = ['continue_from_weights.py', 'own', '--first', str(tmp_path / 'images'), '--work-dir', str(tmp_path / 'w')]
    common += ['--batch-size', '10', '--draws', '1', '--epochs', '1', '--first-epochs', '1']
    common += ['--starts', 'naive', 'warm-up and statistics']
    monkeypatch.setattr(sys, 'argv', [*common, '--seeds', '0'])
    tool.main()
    written = (tmp_path / 'w/naive_0.json').stat().st_mtime_ns
    monkeypatch.setattr(sys, 'argv', [*common, '--seeds', '0', '1'])
    tool.main()
    assert (tmp_path / 'w/naive_0.json').stat().st_mtime_ns == written
    assert (tmp_path / 'w/naive_1.json').exists() and (tmp_path / 'w/warm-up_and_statistics_1.json').exists()
    assert (tmp_path / 'w/table.md').read_text() in capsys.readouterr().out
    monkeypatch.setattr(sys, 'argv', [*common, '--seeds', '0', '--lr', '9'])
    with pytest.raises(SystemExit, match='was measured with other options'):
        tool.main()
