"""The documentation builds without a warning, with everything in it, and its notebook runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_documents import public_names
from tests.training import ROOT, environment

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages; a warning is an error, as in ``tools/build_docs.sh``."""
    pytest.importorskip('sphinx', reason='bash tools/build_docs.sh installs what is missing')
    pytest.importorskip('myst_nb')
    folder = tmp_path_factory.mktemp('docs')
    options = ['--quiet', '--fail-on-warning', '--keep-going', '-c', 'docs', '-d', str(folder / 'doctrees')]
    run = subprocess.run(
        [sys.executable, '-m', 'sphinx', *options, '.', str(folder / 'html')],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return folder / 'html'


def test_every_method_has_a_page_made_of_its_readme(site: Path) -> None:
    readmes = list((ROOT / 'configs').rglob('README.md'))
    assert readmes
    assert [path for path in readmes if not (site / path.relative_to(ROOT).with_suffix('.html')).is_file()] == []


def test_every_public_name_has_an_entry_with_its_arguments(site: Path) -> None:
    from sphinx.util.inventory import InventoryFile

    with (site / 'objects.inv').open('rb') as file:
        inventory = InventoryFile.load(file, '', lambda base, uri: uri)
    kinds = getattr(inventory, 'data', inventory)  # a plain dictionary in some releases
    entries = {name.rpartition('.')[2] for kind in kinds if 'py:' in kind for name in kinds[kind]}
    assert {name.rpartition('.')[2] for name in public_names().values()} - entries == set()
    assert 'Unit rows, shape' in (site / 'docs' / 'api' / 'functional.html').read_text()


def test_the_front_page_is_reached_from_the_root(site: Path) -> None:
    assert 'url=docs/index.html' in (site / 'index.html').read_text()
    assert (site / 'docs' / 'index.html').is_file()


def test_the_notebook_runs_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip('nbformat')
    nbclient = pytest.importorskip('nbclient')
    pytest.importorskip('ipykernel')
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(ROOT / 'docs' / 'tour.ipynb', as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=600, resources={'metadata': {'path': str(tmp_path)}})
    client.execute()
    printed = [output.text for cell in notebook.cells for output in cell.get('outputs', []) if 'text' in output]
    assert any('torchvision.models.resnet.ResNet' in text for text in printed)
