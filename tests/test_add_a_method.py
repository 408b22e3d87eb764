"""What docs/add_a_method.md holds, put into a copy of the tree, works, and is all that one more method costs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.helpers.pages import files_of, steps_of
from tests.training import ROOT, environment, make_images

PAGE = ROOT / 'docs' / 'add_a_method.md'
PAGES = (PAGE, ROOT / 'CONTRIBUTING.md')  # both say how many files a method needs
METHOD = 'align_uniform'
CONFIG = f'configs/{METHOD}/{METHOD}_resnet10_1xb256_cpu_2e_cifar10.py'
OUTSIDE = 'my_project/'  # files of the page that do not lie in the repository
LISTS = 'python tools/update_lists.py'
WRITTEN = [
    'README.md',
    'docs/choose_a_method.md',
    'docs/concepts.md',
    'mmssl/functional/__init__.py',
    'model-index.yml',
]
SKIPPED = ('.git', '.venv', 'work_dirs', 'data', '__pycache__', '.pytest_cache', '.ruff_cache', '.mypy_cache', '_build')


@pytest.fixture(scope='module')
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with every file of the page; those outside it lie beside the copy.

    The commands run at their places, and what can be imported is imported as soon as it is there.
    """
    tree = tmp_path_factory.mktemp('copy') / 'tree'
    shutil.copytree(ROOT, tree, symlinks=True, ignore=shutil.ignore_patterns(*SKIPPED))
    for path, text in steps_of(PAGE):
        if path:
            put(tree, path, text)
        elif text == LISTS:
            run(tree, 'tools/update_lists.py')
    return tree


def put(tree: Path, path: str, text: str) -> None:
    """Write a file of the page; a module or a config must be ready for import."""
    place = (tree.parent if path.startswith(OUTSIDE) else tree) / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    if path.endswith('.py') and not path.startswith('tests/'):
        module = path.removesuffix('.py').replace('/', '.')
        run(tree, '-c', f'import {"mmssl." if path.startswith("configs/") else ""}{module}')


def run(tree: Path, *arguments: str, red: bool = False) -> str:
    """Run Python in the copy; gives what it printed."""
    env = environment(PYTHONPATH=os.pathsep.join([str(tree), str(tree.parent)]))
    result = subprocess.run([sys.executable, *arguments], cwd=tree, env=env, capture_output=True, text=True)
    assert bool(result.returncode) is red, result.stdout + result.stderr
    return result.stdout


def pytest_in(tree: Path, *arguments: str, red: bool = False) -> str:
    return run(tree, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', *arguments, red=red)


def contents(tree: Path) -> dict[str, bytes]:
    """All files below a folder by path."""
    return {
        str(path.relative_to(tree)): path.read_bytes()
        for path in tree.rglob('*')
        if path.is_file() and not set(SKIPPED) & set(path.relative_to(tree).parts)
    }


def test_a_method_costs_the_six_files_that_the_page_names_and_nothing_else_is_edited(tree: Path) -> None:
    before, after = contents(ROOT), contents(tree)
    inside = {path for path in files_of(PAGE) if not path.startswith(OUTSIDE)}
    assert after.keys() - before.keys() == inside
    assert before.keys() - after.keys() == set()
    assert [name for name in WRITTEN if before[name] != after[name]] == WRITTEN
    assert [name for name in before if before[name] != after[name] and name not in WRITTEN] == []
    of_method = sorted(name for name in files_of(PAGE) if METHOD in name)
    assert of_method == [
        f'configs/{METHOD}/README.md',
        CONFIG,
        f'configs/{METHOD}/metafile.yml',
        f'mmssl/functional/{METHOD}.py',
        f'mmssl/models/algorithms/{METHOD}.py',
        f'tests/models/test_{METHOD}.py',
    ]
    assert all('A method needs six files' in page.read_text().replace('a method', 'A method') for page in PAGES)


def test_the_lists_name_the_method(tree: Path) -> None:
    page = f'[configs/{METHOD}](configs/{METHOD}/README.md)'
    assert f'| AlignUniform | Wang and Isola, ICML 2020 | nothing | {page} |' in (tree / 'README.md').read_text()
    assert f'  - configs/{METHOD}/metafile.yml\n' in (tree / 'model-index.yml').read_text()
    names = ('mmssl.models.AlignUniform', 'mmssl.models.Spread', 'mmssl.models.Reservoir')
    names += ('mmssl.functional.alignment_loss', 'mmssl.functional.uniformity_loss')
    modules = run(tree, '-c', f'import mmssl.models; print(*[entry.__module__ for entry in ({", ".join(names)})])')
    files = ('models.algorithms.align_uniform', 'models.additions.spread', 'models.memories.reservoir')
    assert modules.split() == [f'mmssl.{file}' for file in (*files, *['functional.align_uniform'] * 2)]


@pytest.mark.slow
def test_the_tests_of_the_page_pass_and_those_over_all_methods_take_it_in(tree: Path) -> None:
    own = ('tests/models/test_align_uniform.py', 'tests/models/test_spread_and_reservoir.py')  # six tests
    over_all = (
        f'tests/test_testing.py::test_every_algorithm_passes_every_check[{CONFIG.removeprefix("configs/")}]',
        f'tests/configs/test_configs.py::test_a_config_loads_survives_a_dump_and_builds[{Path(CONFIG).stem}]',
        f'tests/configs/test_configs.py::test_a_config_has_an_importable_name_in_the_agreed_form[{Path(CONFIG).stem}]',
        'tests/engine/test_resume.py::test_every_algorithm_has_a_cpu_config',
        'tests/tools/test_update_lists.py::test_the_lists_in_the_repository_are_up_to_date',
        'tests/tools/test_model_zoo.py::test_the_index_is_read_by_the_library_that_mim_uses',
    )
    assert '12 passed' in pytest_in(tree, *own, *over_all, '--long')
    pytest_in(tree, 'tests/test_documents.py', 'tests/test_floors.py')


@pytest.mark.slow
def test_without_its_cpu_config_or_with_old_lists_the_method_is_refused(tree: Path, tmp_path: Path) -> None:
    other = tmp_path / 'tree'
    shutil.copytree(tree, other, symlinks=True)
    (other / CONFIG).unlink()
    printed = pytest_in(other, 'tests/engine/test_resume.py::test_every_algorithm_has_a_cpu_config', red=True)
    assert "{'AlignUniform'}" in printed
    shutil.copy(ROOT / 'README.md', other / 'README.md')
    printed = pytest_in(other, 'tests/tools/test_update_lists.py', '-k', 'up_to_date', red=True)
    assert 'Lists are out of date in README.md: type  python tools/update_lists.py' in printed


def train(tree: Path, config: str, folder: Path, *more: str) -> tuple[dict, dict]:
    """The checkpoints after the first step and after the seventh and last, on 112 images."""
    images = make_images(folder / 'images')
    parts = ('train_dataloader.dataset', 'evaluation.gallery', 'evaluation.query')
    options = [f'{part}.source.root={images}' for part in parts]
    options += ['train_dataloader.batch_size=16', 'train_cfg.max_epochs=1']
    options += ['train_dataloader.num_workers=0', 'evaluation.num_workers=0']
    options += ['default_hooks.checkpoint.interval=1', 'default_hooks.checkpoint.by_epoch=False']
    options += ['default_hooks.checkpoint.max_keep_ckpts=-1']
    run(tree, 'tools/train.py', config, '--work-dir', str(folder / 'work'), '--cfg-options', *options, *more)
    first, last = (torch.load(folder / 'work' / f'{name}.pth', weights_only=True) for name in ('iter_1', 'epoch_1'))
    assert (first['meta']['progress']['samples_seen'], last['meta']['progress']['epoch']) == (16, 1)
    return first, last


def moved(first: dict, last: dict) -> set[str]:
    assert first['state_dict'].keys() == last['state_dict'].keys()
    return {name for name, value in last['state_dict'].items() if not torch.equal(value, first['state_dict'][name])}


@pytest.mark.slow
def test_the_config_of_the_page_trains_every_weight(tree: Path, tmp_path: Path) -> None:
    first, last = train(tree, CONFIG, tmp_path)
    state = last['state_dict']
    assert {name.partition('.')[0] for name in state} == {'backbone', 'neck'}
    assert moved(first, last) == set(state)
    assert all(value.isfinite().all() for value in state.values())
    losses = last['message_hub']['log_scalars']['train/loss']['values']
    assert len(losses) == 7 and torch.as_tensor(losses).isfinite().all()


@pytest.mark.slow
def test_moco_trains_with_the_memory_and_the_addition_of_the_page(tree: Path, tmp_path: Path) -> None:
    config = tmp_path / 'config.py'
    config.write_text(
        'from mmengine.config import read_base\n'
        'with read_base():\n'
        '    from mmssl.configs.moco.moco_v2_resnet10_1xb128_cpu_2e_cifar10 import *\n'
        "model['queue'] = dict(type='Reservoir', length=64, dim=64)\n"
        "model.update(additions=[dict(type='Spread', weight=0.1)])\n"
        "train_dataloader['dataset']['source'] = dict(evaluation['gallery']['source'])\n"
    )
    first, last = train(tree, str(config), tmp_path)
    state = last['state_dict']
    assert {'queue.rows', 'queue.seen'} < moved(first, last)
    assert (int(first['state_dict']['queue.seen']), int(state['queue.seen'])) == (16, 112)
    torch.testing.assert_close(state['queue.rows'].norm(dim=1), torch.ones(64))
    later = (state['queue.rows'][:16] != first['state_dict']['queue.rows'][:16]).any(dim=1)
    assert later.any() and not later.all()  # some of the first rows gave way, some stayed
    scalars = last['message_hub']['log_scalars']
    total, own, spread = (
        torch.as_tensor(scalars[f'train/{name}']['values']) for name in ('loss', 'loss_own', 'loss_spread')
    )
    assert total.shape == own.shape == spread.shape == (7,) and (spread < 0).all()
    torch.testing.assert_close(total, own + spread)


def test_the_lists_are_needed_where_the_page_has_them(tree: Path, tmp_path: Path) -> None:
    other = tmp_path / 'tree'
    shutil.copytree(tree, other, symlinks=True)
    shutil.copy(ROOT / 'mmssl/functional/__init__.py', other / 'mmssl/functional/__init__.py')
    run(other, '-c', f'import mmssl.functional.{METHOD}')
    run(other, '-c', f'import mmssl.models.algorithms.{METHOD}', red=True)
    names = [name for name, text in steps_of(PAGE) if name or text == LISTS]
    assert names.index('') == 1 and names.count('') == 3


@pytest.mark.slow
def test_the_method_outside_the_repository_passes_the_checks_and_its_config_trains(tree: Path, tmp_path: Path) -> None:
    script = tmp_path / 'check.py'
    script.write_text(
        'from mmssl.models import MLPNeck\n'
        'from mmssl.testing import check_algorithm\n'
        'from my_project.plain_moco import PlainMoCo\n'
        "if __name__ == '__main__':\n"
        '    neck = dict(type=MLPNeck, in_channels=64, hidden_channels=32, out_channels=16)\n'
        '    print(*check_algorithm(PlainMoCo, neck=neck, queue=dict(length=64, dim=16)), sep=chr(10))\n'
    )
    passed = run(tree, str(script)).splitlines()
    assert len(passed) == 9 and passed[0] == 'build: PlainMoCo, memories: teacher, queue'
    config = tree.parent / OUTSIDE / 'plain_moco_cifar10.py'
    first, last = train(tree, str(config), tmp_path, 'model.queue.length=64')
    assert {'queue.rows', 'teacher.networks.0.conv1.weight'} <= moved(first, last)
