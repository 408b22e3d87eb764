"""What `pip install .` puts on a machine: code, configs and tools, where MMEngine and both lines of mim look."""

import os
import runpy
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import setuptools
import yaml
from packaging.requirements import Requirement

from mmssl.dependencies import REQUIRED

ROOT = Path(__file__).resolve().parents[2]
CPU_BUILD = 'faiss-cpu; extra != "faiss-gpu"'
FOLDERS = ('mmssl', 'configs', 'tools', 'requirements')
FILES = ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'README.md', 'LICENSE', 'model-index.yml')


def files_below(folder: Path, pattern: str = '*') -> set[str]:
    """Relative names of the files below a folder, without what Python compiled and what starts with a dot."""
    names = (path.relative_to(folder) for path in folder.rglob(pattern) if path.is_file())
    return {str(name) for name in names if not any(part == '__pycache__' or part[0] == '.' for part in name.parts)}


@pytest.fixture(scope='module')
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as site-packages is once the wheel is installed; built from a copy, to keep the checkout clean."""
    source, dist, site = (tmp_path_factory.mktemp(name) for name in ('source', 'dist', 'site'))
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns('__pycache__'))
    for name in FILES:
        shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation', '--no-index']
    subprocess.run([*pip, '--wheel-dir', str(dist), str(source)], check=True)
    zipfile.ZipFile(next(dist.glob('mmssl-*.whl'))).extractall(site)
    return site


@pytest.fixture(scope='module')
def dist_info(installed: Path) -> Path:
    return next(installed.glob('mmssl-*.dist-info'))


def python(site: Path, *arguments: str, folder: Path) -> str:
    """Run Python with that site folder first on its path, away from the checkout."""
    env = {**os.environ, 'PYTHONPATH': str(site)}
    result = subprocess.run([sys.executable, *arguments], cwd=folder, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_every_module_ships(installed: Path) -> None:
    modules = {name for name in files_below(ROOT / 'mmssl', '*.py') if not name.startswith('configs/')}
    assert modules == {name for name in files_below(installed / 'mmssl', '*.py') if not name.startswith('configs/')}


def test_the_templates_of_the_reports_ship_and_make_a_report(installed: Path, tmp_path: Path) -> None:
    folder = 'mmssl/visualization/templates'
    assert files_below(ROOT / folder) == files_below(installed / folder) >= {'report.html', 'report.css'}
    code = (
        'from mmssl.visualization import Section, write_report; import mmssl.visualization as package; '
        "print(package.__file__, write_report('r.html', 'A title', [Section('A part', [])]).read_text())"
    )
    text = python(installed, '-c', code, folder=tmp_path)
    assert text.startswith(str(installed)) and '<h2>A part</h2>' in text and 'color-scheme' in text


def test_the_packaged_backbone_ships_and_loads_without_a_network(installed: Path, tmp_path: Path) -> None:
    assert files_below(ROOT / 'mmssl/zoo') == files_below(installed / 'mmssl/zoo') >= {'model-index.yml'}
    code = (
        'import socket; socket.socket.connect = None; import mmssl; '
        "model = mmssl.get_model('swav_resnet10_fashion_mnist', pretrained=True); print(mmssl.__file__, model.training)"
    )
    printed = python(installed, '-c', code, folder=tmp_path)
    assert printed.startswith(str(installed)) and printed.endswith('False\n')


def test_every_config_ships(installed: Path) -> None:
    assert files_below(ROOT / 'configs') == files_below(installed / 'mmssl' / 'configs')


def test_the_tools_and_the_index_ship_for_both_lines_of_mim(installed: Path, dist_info: Path) -> None:
    for root in (installed / 'mmssl', dist_info):
        assert files_below(ROOT / 'tools') == files_below(root / '.mim' / 'tools')
        assert (root / '.mim' / 'model-index.yml').read_text() == (ROOT / 'model-index.yml').read_text()


def test_the_index_finds_its_metafiles_for_both_lines_of_mim(installed: Path, dist_info: Path) -> None:
    listed = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    assert len(listed) > 10
    for root in (installed / 'mmssl', dist_info):
        assert all((root / '.mim' / name).read_text() == (ROOT / name).read_text() for name in listed)


def test_mim_finds_each_config_exactly_once(installed: Path, dist_info: Path) -> None:
    configs = {Path(name).name for name in files_below(ROOT / 'configs', '*.py') if not name.startswith('_base_')}
    assert configs
    for root in (installed / 'mmssl', dist_info):
        assert {name: len(list(root.rglob(name))) for name in configs} == dict.fromkeys(configs, 1)


def test_mim_runs_the_training_script_that_ships(installed: Path, dist_info: Path, tmp_path: Path) -> None:
    for root in (installed / 'mmssl', dist_info):
        assert '--launcher' in python(installed, str(root / '.mim/tools/train.py'), '-h', folder=tmp_path)


def test_a_users_config_inherits_from_the_installed_ones(installed: Path, tmp_path: Path) -> None:
    module = sorted((installed / 'mmssl/configs').glob('[a-z]*/*.py'))[0].relative_to(installed).with_suffix('')
    config = tmp_path / 'mine.py'
    imported = '.'.join(module.parts)
    inherits = f'from mmengine.config import read_base\nwith read_base():\n    from {imported} import *\n'
    config.write_text(inherits + 'mine = 1\n')
    code = (
        f'import mmssl, {imported.rpartition(".")[0]}; from mmengine.config import Config; '
        f'config = Config.fromfile({str(config)!r}); print(mmssl.__file__, config.mine, config.model.type)'
    )
    assert str(installed) in python(installed, '-c', code, folder=tmp_path)


def listed(name: str) -> set[str]:
    """The lines of a requirements file, without comments."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return {line.split('#')[0].strip() for line in lines} - {''}


def test_the_requirements_files_are_the_metadata(dist_info: Path) -> None:
    metadata = Parser().parsestr((dist_info / 'METADATA').read_text())
    required = {line for line in metadata.get_all('Requires-Dist') if 'extra' not in line}
    assert listed('runtime') <= required
    assert len(required) == len(listed('runtime')) + len(listed('mm')) - 1  # faiss, which an extra replaces
    extras = {'bands', 'benchmarks', 'docs', 'faiss-gpu', 'rl', 'tests', 'text', 'timm', 'video'}
    assert set(metadata.get_all('Provides-Extra')) == extras
    assert metadata['Requires-Python'] == '>=3.10'


@pytest.mark.parametrize(
    ('extra', 'builds'), [('', {'faiss-cpu'}), ('timm', {'faiss-cpu'}), ('faiss-gpu', {'faiss-gpu'})]
)
def test_the_gpu_build_of_faiss_comes_instead_of_the_cpu_build(extra: str, builds: set, dist_info: Path) -> None:
    metadata = Parser().parsestr((dist_info / 'METADATA').read_text())
    found = [Requirement(line) for line in metadata.get_all('Requires-Dist') if line.startswith('faiss')]
    assert {line.name for line in found if line.marker is None or line.marker.evaluate({'extra': extra})} == builds


def test_type_checkers_are_told_that_the_package_has_types(installed: Path) -> None:
    assert (installed / 'mmssl/py.typed').is_file()


def test_no_requirement_has_an_upper_bound() -> None:
    # Formatters and checkers are pinned: another release formats and judges otherwise.
    files = [path.stem for path in (ROOT / 'requirements').glob('*.txt') if path.stem != 'lint']
    assert len(files) == 12
    assert not [line for name in files for line in listed(name) if '<' in line or '==' in line or '~' in line]


def test_the_check_at_import_asks_for_what_is_required() -> None:
    minimum = dict(line.partition('>=')[::2] for line in listed('runtime') | listed('mm'))
    minimum.pop('faiss-cpu')  # torch answers where it is missing
    asked = {dependency.distributions[0]: dependency.minimum for dependency in REQUIRED}
    assert asked == {**minimum, 'onedl-mmengine': '0.10.7'}  # upstream's last release works too


@pytest.mark.parametrize(
    ('installed_names', 'expected'),
    [
        ((), ['onedl-mmengine>=0.10.8', CPU_BUILD, 'opencv-python-headless']),
        (('mmengine', 'opencv-contrib-python', 'faiss-gpu'), ['mmengine', 'faiss-gpu', 'opencv-contrib-python']),
        (
            ('mmengine', 'onedl-mmengine', 'faiss-cpu', 'faiss-gpu'),
            ['onedl-mmengine>=0.10.8', CPU_BUILD, 'opencv-python-headless'],
        ),
    ],
)
def test_a_package_with_the_same_folder_is_kept_where_it_is_installed(
    installed_names: tuple[str, ...], expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in installed_names:
        (tmp_path / f'{name}-0.10.7.dist-info').mkdir()
        (tmp_path / f'{name}-0.10.7.dist-info/METADATA').write_text(f'Name: {name}\nVersion: 0.10.7\n')
    arguments = {}
    monkeypatch.setattr(setuptools, 'setup', lambda **given: arguments.update(given))
    monkeypatch.setattr('sysconfig.get_path', lambda name: str(tmp_path))
    runpy.run_path(str(ROOT / 'setup.py'))
    assert arguments['install_requires'][-3:] == expected


def test_the_command_is_installed_and_finds_its_configs(installed: Path, dist_info: Path, tmp_path: Path) -> None:
    points = (dist_info / 'entry_points.txt').read_text()
    assert 'mmssl = mmssl.commands:main' in points
    code = 'import sys; from mmssl.commands import main; main(sys.argv[1:])'
    assert 'pretrain' in python(installed, '-c', code, '--help', folder=tmp_path)
    assert 'simclr_resnet10' in python(installed, '-m', 'mmssl', 'zoo', 'list', 'simclr*', folder=tmp_path)
    places = python(installed, '-c', 'import mmssl.apis.zoo as zoo; print(zoo.CONFIGS)', folder=tmp_path)
    assert places.startswith(str(installed))
