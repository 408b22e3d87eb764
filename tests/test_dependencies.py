"""A missing or wrong dependency is one sentence with the command that fixes it."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from mmssl import dependencies
from mmssl.dependencies import Dependency, check_dependencies, problem_of, release, require

ROOT = Path(__file__).resolve().parents[1]


def test_what_is_installed_here_passes() -> None:
    check_dependencies()


def test_a_missing_package_is_named_with_the_command() -> None:
    problem = problem_of(Dependency('no_such_module', ('no-such-module',), '1.2'))
    assert problem == "mmssl needs no_such_module, which is not installed: type  pip install 'no-such-module>=1.2'"


def test_a_package_that_is_too_old_is_named_with_both_versions() -> None:
    problem = problem_of(Dependency('torch', ('torch',), '99.1'))
    assert problem.startswith(f'mmssl needs torch 99.1 or newer, but {metadata.version("torch")} is installed')
    assert problem.endswith("type  pip install 'torch>=99.1'")


def test_any_newer_release_is_accepted() -> None:
    assert problem_of(Dependency('torch', ('torch',), '0.1')) is None


def test_one_of_several_distributions_is_enough() -> None:
    assert problem_of(Dependency('torch', ('no-such-torch', 'torch'), '2.4')) is None


def test_a_release_is_compared_by_its_numbers() -> None:
    assert release('2.10.0+cpu') > release('2.4') > release('2.3.1')
    assert release('2.5.0a0+git123') >= release('2.4')
    assert release('unknown') == ()


@pytest.mark.parametrize(('found', 'fits'), [('2.13.0+cpu', True), ('2.14.1', False)])
def test_a_torchvision_of_another_torch_is_refused(found: str, fits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {'torch': found, 'torchvision': '0.28.0'}
    monkeypatch.setattr(dependencies.metadata, 'version', versions.get)
    monkeypatch.setattr(dependencies.metadata, 'requires', lambda name: ['numpy', 'torch==2.13.0'])
    problem = dependencies.torchvision_problem()
    assert (problem is None) == fits
    assert fits or 'torchvision 0.28.0 belongs to torch 2.13.0, but torch 2.14.1 is installed' in problem


def test_the_check_at_import_includes_the_pair_of_torch_and_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependencies, 'torchvision_problem', lambda: 'torchvision belongs elsewhere')
    with pytest.raises(ImportError, match='belongs elsewhere'):
        check_dependencies()


def test_an_optional_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependencies, 'find_spec', lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'mmssl\[timm\]'"):
        require('timm')


def test_mmcv_without_its_ops_names_the_script_that_builds_them(tmp_path: Path) -> None:
    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv/__init__.py').write_text('')  # what pip alone installs: no mmcv._ext
    code = f'import sys; sys.path.insert(0, {str(tmp_path)!r}); from mmssl.dependencies import require_transfer as f; '
    result = subprocess.run([sys.executable, '-c', code + 'f("mmdet")'], capture_output=True, text=True, cwd=ROOT)
    assert result.stderr.splitlines()[-1] == (
        "ImportError: mmdet needs MMCV's compiled ops, and MMCV is installed without them or with those of another "
        'torch: type  bash tools/install_transfer.sh'
    )


def test_import_refuses_before_anything_else_fails(tmp_path: Path) -> None:
    """With nothing installed at all, `import mmssl` ends in the one sentence."""
    bare = '[folder for folder in sys.path if "site-packages" not in folder]'
    code = f'import sys; sys.path[:] = {bare} + [{str(ROOT)!r}]; import mmssl'
    result = subprocess.run([sys.executable, '-S', '-c', code], capture_output=True, text=True, cwd=tmp_path)
    assert result.stderr.splitlines()[-1].startswith('ImportError: mmssl needs torch, which is not installed: type')


def test_a_training_imports_nothing_that_takes_long_and_that_it_may_not_need():
    slow = ('sklearn', 'scipy.optimize', 'scipy.stats', 'matplotlib.figure', 'transformers', 'joblib', 'timm', 'pandas')
    program = f'import sys, mmssl.engine, mmssl.apis; print([name for name in {slow} if name in sys.modules])'
    found = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == '[]'
