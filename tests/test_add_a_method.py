"""The method of docs/add_a_method.md, taken from the page and put into a copy of the tree, runs."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training import ROOT, environment, make_images

PAGE = ROOT / 'docs' / 'add_a_method.md'


@pytest.fixture(scope='module')
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package, configs and tools, with every file of the page in its place."""
    tree = tmp_path_factory.mktemp('tree')
    for name in ('mmssl', 'configs', 'tools'):
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=shutil.ignore_patterns('__pycache__'))
    for text, path in re.findall(r'```python\n(# (\S+)\n.*?)```', PAGE.read_text(), flags=re.DOTALL):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    return tree


def run(tree: Path, *arguments: str) -> str:
    """Run Python in the copy; gives what it printed."""
    env = environment(PYTHONPATH=str(tree))
    result = subprocess.run([sys.executable, *arguments], cwd=tree, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_test_of_the_page_passes(tree: Path) -> None:
    assert '3 passed' in run(tree, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', 'tests/models/test_simsiam.py')


def test_the_memory_of_the_page_moves_with_the_rows_it_is_given(tree: Path) -> None:
    code = (
        'import torch; from mmssl.models.memories.center import Center; center = Center(2); '
        'center.stage(torch.tensor([[10.0, 0.0], [30.0, 0.0]])); center.commit(); center.stage(torch.ones(1, 2)); '
        'center.discard(); center.commit(); print(center.state_dict()["mean"].tolist())'
    )
    assert run(tree, '-c', code).strip() == '[2.0, 0.0]'


@pytest.mark.slow
def test_the_config_of_the_page_trains(tree: Path, tmp_path: Path) -> None:
    images = make_images(tmp_path / 'images')
    parts = ('train_dataloader.dataset', 'evaluation.gallery', 'evaluation.query')
    options = [f'{part}.source.root={images}' for part in parts]
    options += ['train_dataloader.batch_size=16', 'train_cfg.max_epochs=1']
    options += ['train_dataloader.num_workers=0', 'evaluation.num_workers=0']
    config = 'configs/simsiam/simsiam_resnet10_1xb256_cpu_3e_cifar10.py'
    run(tree, 'tools/train.py', config, '--work-dir', str(tmp_path / 'work'), '--cfg-options', *options)
    assert (tmp_path / 'work' / 'epoch_1.pth').is_file()
