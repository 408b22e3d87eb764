"""Fashion-MNIST, the data set of the first run: 70,000 gray images, 28 x 28 pixels, ten classes (MIT licence)."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from mmengine.logging import print_log

from mmssl.download import download

FILES = tuple(f'{part}-{kind}-ubyte.gz' for part in ('train', 't10k') for kind in ('images-idx3', 'labels-idx1'))
_SYSTEM_FOLDER = Path('/usr/share/datasets/fashion-mnist')
_PACKAGE = 'dataset-fashion-mnist'
_SERVER = "torchvision's server"
_TIMEOUT = 15  # seconds without an answer


def fetch_fashion_mnist(root: str | Path) -> Path:
    """Find or download Fashion-MNIST, from torchvision's server or from the Debian package (no root needed).

    ``MMSSL_MIRROR`` replaces the scheme and host of the server; see :func:`mmssl.download.download`.

    Args:
        root: Folder for the files; created if it does not exist.

    Returns:
        Folder with the four ``.gz`` files for :class:`~mmssl.datasets.ArraySource`: ``root`` or the system's folder.

    Raises:
        RuntimeError: No download worked; the message says what to do.
    """
    root = Path(root)
    for folder in (root, _SYSTEM_FOLDER):
        if _is_complete(folder):
            print_log(f'Fashion-MNIST is in {folder}.', logger='current')
            return folder
    for name, way in ((_SERVER, _download), (_PACKAGE, _unpack_debian_package)):
        if _try(name, way, root):
            return root
    raise RuntimeError(
        f'Fashion-MNIST could not be fetched: install it with "apt-get install {_PACKAGE}", or put {", ".join(FILES)} '
        f'into {root}.'
    )


def _is_complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in FILES)


def _try(name: str, way: Callable[[Path], None], root: Path) -> bool:
    """Fetch into a temporary folder, and move the files to the root once all of them are there."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=root) as temporary:
            way(Path(temporary))
            found = {path.name: path for path in Path(temporary).rglob('*.gz')}
            for file in FILES:
                shutil.move(found[file], root / file)
    except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        print_log(f'Fashion-MNIST could not be fetched from {name}: {error!r}', logger='current')
        return False
    print_log(f'Fashion-MNIST was fetched from {name} into {root}.', logger='current')
    return True


def _download(folder: Path) -> None:
    """Download the four files, and compare their checksums."""
    from torchvision.datasets import FashionMNIST

    for name, checksum in FashionMNIST.resources:
        download(FashionMNIST.mirrors[0] + name, folder / name, f'md5:{checksum}', timeout=_TIMEOUT, tries=1)


def _unpack_debian_package(folder: Path) -> None:
    """Download the package and unpack it in the folder, which needs no root."""
    subprocess.run(['apt-get', 'download', _PACKAGE], cwd=folder, check=True, capture_output=True, timeout=600)
    for package in folder.glob('*.deb'):
        subprocess.run(['dpkg-deb', '-x', str(package), str(folder)], check=True, capture_output=True, timeout=600)
