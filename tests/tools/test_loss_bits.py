"""The comparison of losses of two commits, and what it takes for the commit before."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.mutation import Mutation
from tests.training import ROOT

sys.path.insert(0, str(ROOT / 'tools/benchmarks'))  # as Python does for a script that stands there

import loss_bits
import loss_steps
import trees


def rows(*values: float, name: str = 'loss') -> list[dict[str, str]]:
    return [{name: value.hex()} for value in values]


def test_equal_runs_are_equal_and_the_first_step_that_parts_is_named_with_both_values():
    assert loss_bits.compare({'rows': rows(1.5, 2.5)}, {'rows': rows(1.5, 2.5)}) == (True, 'equal')
    equal, line = loss_bits.compare({'rows': rows(1.5, 2.5, 3.0)}, {'rows': rows(1.5, 2.5000002384185791, 4.0)})
    assert not equal
    assert line == 'step 2: loss was 2.5 (40200000), is 2.50000024 (40200001)'


def test_not_a_number_equals_itself_and_zero_has_a_sign():
    assert loss_bits.compare({'rows': rows(float('nan'))}, {'rows': rows(float('nan'))})[0]
    assert not loss_bits.compare({'rows': rows(float('nan'))}, {'rows': rows(float('inf'))})[0]
    assert not loss_bits.compare({'rows': rows(0.0)}, {'rows': rows(-0.0)})[0]


def test_a_part_that_was_renamed_is_named_and_the_sum_is_compared_all_the_same():
    before = [{'loss': (1.0).hex(), 'loss_inter': (0.5).hex()}]
    after = [{'loss': (1.0).hex(), 'additions.0.loss': (0.5).hex()}]
    names = 'gone: loss_inter; new: additions.0.loss'
    assert loss_bits.compare({'rows': before}, {'rows': after}) == (False, f'equal where the names are; {names}')
    after[0]['loss'] = (2.0).hex()
    line = 'step 1: loss was 1 (3f800000), is 2 (40000000)'
    assert loss_bits.compare({'rows': before}, {'rows': after}) == (False, f'{line}; {names}')


def test_the_sum_is_looked_at_before_its_parts():
    before = [{'a_loss': (1.0).hex(), 'loss': (1.0).hex()}]
    after = [{'a_loss': (2.0).hex(), 'loss': (2.0).hex()}]
    first, second = loss_bits.difference(before, after).split('; ')
    assert first.startswith('step 1: loss was')
    assert second.startswith('step 1: a_loss was')


def test_another_value_that_moved_is_told_from_a_loss():
    before = [{'loss': (1.0).hex(), 'change': (0.5).hex()}] * 2
    after = [before[0], {'loss': (1.0).hex(), 'change': (0.25).hex()}]
    line = 'step 2: change was 0.5 (3f000000), is 0.25 (3e800000); the losses themselves are equal'
    assert loss_bits.compare({'rows': before}, {'rows': after}) == (False, line)


def test_a_config_that_fails_in_one_tree_is_a_difference_that_no_changelog_excuses(capsys):
    results = {'before': {'swav/a.py': {'rows': rows(1.0)}}, 'after': {'swav/a.py': {'error': 'x\nTypeError: y\n'}}}
    assert not loss_bits.report(results, {'swav'})
    assert 'now it fails: TypeError: y' in capsys.readouterr().out


def test_a_change_is_fine_where_the_changelog_gained_an_item_that_names_it(capsys):
    results = {'before': {'swav/a.py': {'rows': rows(1.0)}}, 'after': {'swav/a.py': {'rows': rows(2.0)}}}
    old = '# Changelog\n\n- Losses change in moco: an older item.\n'
    for text, fine in (
        (old, False),
        (f'{old}- Losses change in odc:\n  the queue.\n', False),
        (f'{old}- swav has a queue.\n', False),
        (f'{old}- Losses change\n  in swav and odc: the queue.\n', True),
    ):
        assert loss_bits.report(results, loss_bits.announced(old, text)) is fine
    assert 'CHANGELOG.md says so' in capsys.readouterr().out
    assert loss_bits.announced(old, old) == set()


def test_configs_are_chosen_by_file_or_folder():
    every = loss_bits.cpu_configs(ROOT)
    assert {path.split('/')[0] for path in every} >= {'swav', 'moco', 'interclr', 'pixpro'}
    assert loss_bits.cpu_configs(ROOT, ['swav']) == [path for path in every if path.startswith('swav/')]
    assert loss_bits.cpu_configs(ROOT, [Path(every[0]).stem, Path(every[-1]).name]) == [every[0], every[-1]]
    loss_bits.refuse_unknown(['swav', Path(every[0]).stem], every)
    with pytest.raises(SystemExit, match='No CPU config is named swan: give names'):
        loss_bits.refuse_unknown(['swav', 'swan'], every)


def test_a_config_is_made_small_at_any_depth_by_the_names_of_its_keys():
    model = {
        'queue': {'length': 4096, 'dim': 64},
        'additions': [{'clusters': {'num_clusters': 100, 'min_cluster': 3}}],
        'num_clusters': [300, 500],
        'window': {'length': 10},
    }
    loss_steps.shrink(model)
    assert model == {
        'queue': {'length': 64, 'dim': 64},
        'additions': [{'clusters': {'num_clusters': 6, 'min_cluster': 3}}],
        'num_clusters': [6, 9],
        'window': {'length': 10},
    }


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of two commits on main, and one beside them."""
    folder = tmp_path / 'repository'
    (folder / 'mmssl').mkdir(parents=True)
    (folder / 'configs').mkdir()
    (folder / 'configs/a.py').write_text('a = 1\n')
    (folder / 'CHANGELOG.md').write_text('# Changelog\n')
    git(folder, 'init', '--quiet', '--initial-branch=main')
    for number in (1, 2):
        (folder / 'mmssl/number.py').write_text(f'NUMBER = {number}\n')
        commit(folder, str(number))
    return folder


def git(folder: Path, *words: str) -> None:
    identity = ('-c', 'user.name=test', '-c', 'user.email=test@example.com', '-c', 'commit.gpgsign=false')
    subprocess.run(['git', *identity, *words], cwd=folder, check=True, capture_output=True)


def commit(folder: Path, message: str) -> None:
    git(folder, 'add', '--all')
    git(folder, 'commit', '--quiet', '--message', message)


def test_the_commit_before_is_checked_out_as_it_was(repository, tmp_path, capsys):
    assert trees.parent(repository) == 'HEAD~1'
    assert capsys.readouterr().out == ''
    tree = trees.check_out('HEAD~1', tmp_path / 'tree', repository)
    assert (tree / 'mmssl/number.py').read_text() == 'NUMBER = 1\n'
    with pytest.raises(SystemExit, match='git rev-parse'):
        trees.check_out('no-such-commit', tmp_path / 'other', repository)


def test_a_clone_without_the_parent_and_a_merge_say_so(repository, tmp_path, capsys):
    git(tmp_path, 'clone', '--quiet', '--depth=1', f'file://{repository}', 'shallow')
    assert trees.parent(tmp_path / 'shallow') == 'HEAD'
    assert 'compared with HEAD itself' in capsys.readouterr().out
    git(repository, 'checkout', '--quiet', '-b', 'beside', 'HEAD~1')
    (repository / 'configs/b.py').write_text('b = 1\n')
    commit(repository, 'beside')
    git(repository, 'checkout', '--quiet', 'main')
    git(repository, 'merge', '--quiet', '--no-edit', 'beside')
    assert trees.parent(repository) == 'HEAD~1'
    assert 'HEAD is a merge' in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize('temperature, starts', [('0.2', 'equal'), ('0.2000001', 'step 1: loss was')])
def test_one_changed_constant_in_a_tree_is_noticed(temperature, starts, tmp_path):
    config = loss_bits.cpu_configs(ROOT, ['simclr'])[0]
    text = (ROOT / 'configs' / config).read_text()
    assert 'temperature=0.2,' in text
    for name in ('mmssl', 'configs'):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True)
    (tmp_path / 'configs' / config).write_text(text.replace('temperature=0.2,', f'temperature={temperature},'))
    results = loss_bits.run_trees({'before': ROOT, 'after': tmp_path}, 3, {'before': [config], 'after': [config]})
    assert loss_bits.compare(results['before'][config], results['after'][config])[1].startswith(starts)


@pytest.mark.slow
def test_an_error_in_a_tree_is_in_its_line(tmp_path):
    config = loss_bits.cpu_configs(ROOT, ['simclr'])[0]
    for name in ('mmssl', 'configs'):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True)
    (tmp_path / 'configs' / config).write_text('raise ValueError("no such thing")\n')
    results = loss_bits.run_trees({'after': tmp_path}, 1, {'after': [config]})
    assert 'no such thing' in results['after'][config]['error']


MUTATIONS = [
    Mutation(
        'losses that differ are called equal',
        'tools/benchmarks/loss_bits.py',
        'if old[name] != new[name]:',
        'if False:',
    ),
    Mutation(
        'items of the changelog that were there before excuse a change of losses',
        'tools/benchmarks/loss_bits.py',
        'for item in new - old if',
        'for item in new if',
    ),
]
