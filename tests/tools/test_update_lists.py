"""tools/update_lists.py: the lists of methods are those of the metafiles."""

import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from mmssl.apis.zoo import recipes
from mmssl.registry import MEMORIES
from tests.helpers.mutation import Mutation
from tests.training import ROOT, environment

LISTS = ('README.md', 'model-index.yml', 'docs/choose_a_method.md', 'docs/concepts.md', 'docs/model_zoo.md')


def update(tree: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(tree / 'tools/update_lists.py'), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment(PYTHONPATH=str(tree)), check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the lists are made of and stand in."""
    skipped = shutil.ignore_patterns('__pycache__', '*.py', 'images', '*.ipynb')
    for name in ('configs', 'docs'):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=skipped)
    shutil.copytree(ROOT / 'mmssl', tmp_path / 'mmssl', symlinks=True, ignore=shutil.ignore_patterns('__pycache__'))
    (tmp_path / 'tools').mkdir()
    for name in ('README.md', 'model-index.yml', 'tools/update_lists.py'):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    assert path.read_text().count(old) == 1
    path.write_text(path.read_text().replace(old, new))


def test_the_lists_in_the_repository_are_up_to_date() -> None:
    checked = update(ROOT, '--check')
    assert checked.returncode == 0, checked.stderr  # the sentence names the command that updates them
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    methods = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob('configs/*/metafile.yml'))
    assert index == methods
    for path in methods:
        folder = path.removesuffix('/metafile.yml')
        assert f'| [{folder}]({folder}/README.md) |' in (ROOT / 'README.md').read_text()
        assert f'](../{folder}/README.md) |' in (ROOT / 'docs/choose_a_method.md').read_text()
    zoo = (ROOT / 'docs/model_zoo.md').read_text()
    with_weights = [entry.name for entry in recipes().values() if entry.has_weights]
    assert with_weights and [name for name in with_weights if f'| `{name}` |' not in zoo] == []


def test_a_changed_metafile_makes_lists_stale_until_the_command_has_run(tree: Path) -> None:
    edit(tree / 'configs/coke/metafile.yml', 'Paper: Qian et al., CVPR 2022', 'Paper: Qian et al., CVPR 2017')
    edit(tree / 'configs/coke/metafile.yml', 'Keeps: centroids, prices, labels', 'Keeps: much')
    edit(tree / 'configs/coke/metafile.yml', 'k-NN Top 1 Accuracy: 37.0', 'k-NN Top 1 Accuracy: 37.4')
    before = {name: (tree / name).read_text() for name in LISTS}
    checked = update(tree, '--check')
    assert checked.returncode
    stale = 'Lists are out of date in README.md, docs/choose_a_method.md: type  python tools/update_lists.py'
    assert checked.stderr.strip() == stale
    assert {name: (tree / name).read_text() for name in LISTS} == before
    assert update(tree).stdout.strip() == 'Written: README.md, docs/choose_a_method.md.'
    methods = (tree / 'README.md').read_text().partition('|---|')[2].splitlines()
    row = next(line for line in (tree / 'README.md').read_text().splitlines() if line.startswith('| CoKe |'))
    assert row == '| CoKe | Qian et al., CVPR 2017 | much | [configs/coke](configs/coke/README.md) |'
    assert any(line == row for line in methods)
    assert (tree / 'README.md').read_text().index(row) < (tree / 'README.md').read_text().index('| DeepCluster |')
    assert '| CoKe, one view | 10,000, 10 | 37.4 | 42.7 |' in (tree / 'docs/choose_a_method.md').read_text()
    assert update(tree, '--check').returncode == 0


def test_a_method_that_does_not_gain_five_points_is_not_listed_as_one_that_learns(tree: Path) -> None:
    def listed(name: str, page: str = 'README.md') -> bool:
        return name in (tree / page).read_text().partition('<!-- end of methods -->')[0]

    assert listed('| CoKe |') and listed('[CoKe](../configs/coke/README.md) |', 'docs/choose_a_method.md')
    edit(tree / 'configs/coke/metafile.yml', 'Linear Top 1 Accuracy: 42.7', 'Linear Top 1 Accuracy: 39.6')
    update(tree)
    assert not listed('| CoKe |') and not listed('[CoKe](../configs/coke/README.md) |', 'docs/choose_a_method.md')
    assert '| CoKe | Qian et al., CVPR 2022 |' in (tree / 'README.md').read_text()
    assert listed('| SimCLR |')


def test_a_method_on_other_data_stands_in_a_table_of_its_own(tree: Path) -> None:
    edit(tree / 'configs/coke/metafile.yml', '      Keeps: ', '      Learns From: sounds\n      Keeps: ')
    update(tree)
    readme, page = ((tree / name).read_text() for name in ('README.md', 'docs/choose_a_method.md'))
    row = '| CoKe | Qian et al., CVPR 2022 | sounds | [configs/coke](configs/coke/README.md) |'
    start = '<!-- methods beyond images: '
    assert row in readme.partition(start)[2] and '| CoKe |' not in readme.partition(start)[0]
    assert '[CoKe](../configs/coke/README.md) | sounds | 1,024 |' in page.partition(start)[2]
    assert '| CtP | Wang et al., CVPR 2021 | clips of videos |' in readme.partition(start)[2]


def test_every_memory_of_mmssl_stands_in_the_table_with_what_it_holds_and_does() -> None:
    import_module('mmssl.models')
    own = {name for name, memory in MEMORIES.module_dict.items() if memory.__module__.startswith('mmssl.')}
    table = (ROOT / 'docs/concepts.md').read_text().partition('<!-- memories: ')[2].partition('<!-- end of')[0]
    rows = [line.strip('| ').split(' | ') for line in table.splitlines() if line.startswith('| `')]
    assert {name.strip('`') for name, _, _ in rows} == own >= {'Queue', 'EMATeacher'}
    assert all(holds.endswith(('.', ')')) and commit.endswith('.') for _, holds, commit in rows)
    assert ['`FirstValue`', 'The first positive number that was committed.'] in [row[:2] for row in rows]


@pytest.mark.parametrize(
    ('file', 'old', 'new', 'sentence'),
    [
        (
            'configs/coke/metafile.yml',
            '      Floats: ',
            '      Other: ',
            'coke/metafile.yml lacks Floats under',
        ),
        ('configs/coke/metafile.yml', 'Paper: Qian et al., CVPR 2022', 'Paper: Qian', 'lacks a year in Paper'),
        ('README.md', '<!-- end of methods -->', '', 'README.md needs  <!-- methods: written by'),
    ],
)
def test_what_is_missing_is_one_sentence(tree: Path, file: str, old: str, new: str, sentence: str) -> None:
    edit(tree / file, old, new)
    assert sentence in update(tree).stderr
    assert update(tree).stderr.startswith('ValueError: ')


MUTATIONS = [
    Mutation(
        'a method on other data stands among those on images',
        'tools/update_lists.py',
        "'beyond' if 'Learns From' in listed else ",
        '',
    ),
    Mutation(
        'stale lists are not noticed',
        'tools/update_lists.py',
        'if check and stale:',
        'if False:',
    ),
    Mutation(
        'a method counts as one that learns though its gain is small',
        'tools/update_lists.py',
        'metrics[name] >= floor + GAIN',
        'metrics[name] >= floor',
    ),
]
