"""Getting the first-run data: each way is tried in its turn, and failures are told."""

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from torchvision.datasets import FashionMNIST

from mmssl.datasets import fashion_mnist, fetch_fashion_mnist
from mmssl.download import DownloadError
from tests.apis.server import FileServer, serving


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / fashion_mnist.FILES[0]).write_bytes(b'half')
        raise OSError('no network')

    monkeypatch.setattr(fashion_mnist, '_SYSTEM_FOLDER', tmp_path / 'system')
    monkeypatch.setattr(fashion_mnist, '_download', fail)
    monkeypatch.setattr(fashion_mnist, '_unpack_debian_package', fail)


def fill(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in fashion_mnist.FILES:
        (folder / name).write_bytes(b'data')


def test_the_files_are_those_of_the_data_set() -> None:
    assert set(fashion_mnist.FILES) == {
        'train-images-idx3-ubyte.gz',
        'train-labels-idx1-ubyte.gz',
        't10k-images-idx3-ubyte.gz',
        't10k-labels-idx1-ubyte.gz',
    }


def test_files_that_are_there_are_found(tmp_path: Path) -> None:
    fill(tmp_path / 'data')
    assert fetch_fashion_mnist(str(tmp_path / 'data')) == tmp_path / 'data'


def test_the_folder_of_the_system_is_used(tmp_path: Path) -> None:
    fill(tmp_path / 'system')
    assert fetch_fashion_mnist(tmp_path / 'data') == tmp_path / 'system'
    assert not (tmp_path / 'data').exists()


@pytest.mark.parametrize('way', ['_download', '_unpack_debian_package'])
def test_either_way_may_bring_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setattr(fashion_mnist, way, lambda folder: fill(folder / 'usr/share'))
    root = fetch_fashion_mnist(tmp_path / 'deep/data')
    assert sorted(path.name for path in root.iterdir()) == sorted(fashion_mnist.FILES)


def test_if_nothing_works_the_error_says_what_to_do_and_leaves_no_half_files(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match='apt-get install dataset-fashion-mnist'):
        fetch_fashion_mnist(tmp_path / 'data')
    assert list((tmp_path / 'data').iterdir()) == []


def test_a_package_that_lacks_a_file_counts_as_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fashion_mnist, '_download', lambda folder: (folder / fashion_mnist.FILES[1]).touch())
    with pytest.raises(RuntimeError, match='could not be fetched'):
        fetch_fashion_mnist(tmp_path / 'data')


def test_the_debian_package_is_downloaded_and_unpacked_without_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], cwd: Path | None = None, **_: object) -> None:
        commands.append(command)
        if command[0] == 'apt-get':
            (cwd / 'dataset-fashion-mnist_0_all.deb').touch()
        else:
            fill(Path(command[3]) / 'usr/share/datasets/fashion-mnist')

    monkeypatch.undo()
    monkeypatch.setattr(fashion_mnist, '_SYSTEM_FOLDER', tmp_path / 'system')
    monkeypatch.setattr(fashion_mnist, '_download', lambda _: (_ for _ in ()).throw(OSError('no network')))
    monkeypatch.setattr(subprocess, 'run', run)
    assert fetch_fashion_mnist(tmp_path / 'data') == tmp_path / 'data'
    assert commands[0] == ['apt-get', 'download', 'dataset-fashion-mnist']
    assert commands[1][:2] == ['dpkg-deb', '-x'] and commands[1][2].endswith('_all.deb')


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """Serves four equal files in the place of torchvision's server."""
    monkeypatch.undo()
    monkeypatch.delenv('MMSSL_MIRROR', raising=False)
    with serving(b'images') as started:
        monkeypatch.setattr(FashionMNIST, 'mirrors', [f'{started.url}/'])
        hashed = hashlib.md5(b'images').hexdigest()
        monkeypatch.setattr(FashionMNIST, 'resources', [(name, hashed) for name in fashion_mnist.FILES])
        yield started


def test_the_server_s_files_are_downloaded_and_their_hashes_compared(server: FileServer, tmp_path: Path) -> None:
    fashion_mnist._download(tmp_path)
    assert all((tmp_path / name).read_bytes() == b'images' for name in fashion_mnist.FILES)
    server.content = b'other images'
    (tmp_path / 'again').mkdir()
    with pytest.raises(ValueError, match='not the published file'):
        fashion_mnist._download(tmp_path / 'again')


def test_a_server_that_is_down_is_asked_once(server: FileServer, tmp_path: Path) -> None:
    server.status = 503
    with pytest.raises(DownloadError, match='cannot be fetched'):
        fashion_mnist._download(tmp_path)
    assert len(server.requests) == 1
