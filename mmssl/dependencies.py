"""Dependencies of mmssl, and one sentence with the command that installs what is missing.

Nothing is imported here: the check reads the metadata of installed packages, and takes milliseconds. Only minimum
versions are checked, since a newer release is no reason to refuse.
"""

import importlib
import re
import sys
from importlib import metadata
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from types import FrameType, ModuleType
from typing import Any, Literal, NamedTuple

_INSTALL_TRANSFER = 'bash tools/install_transfer.sh'  # pip alone installs MMCV without its compiled ops


class Dependency(NamedTuple):
    """A module that mmssl imports.

    Attributes:
        module: Import name.
        distributions: Names under which it may be installed; the first is the one to install.
        minimum: Oldest release that works; '' if any does.
        extra: Extra of mmssl that installs it; '' for what every user needs, 'transfer' for what
            ``tools/install_transfer.sh`` installs.
    """

    module: str
    distributions: tuple[str, ...]
    minimum: str = ''
    extra: str = ''

    @property
    def command(self) -> str:
        """Command that installs it."""
        if self.extra == 'transfer':
            return _INSTALL_TRANSFER
        if self.extra:
            return f"pip install 'mmssl[{self.extra}]'"
        return f"pip install '{self.distributions[0]}{f'>={self.minimum}' if self.minimum else ''}'"


REQUIRED = (
    Dependency('torch', ('torch',), '2.4'),
    Dependency('torchvision', ('torchvision',), '0.19'),
    Dependency('mmengine', ('onedl-mmengine', 'mmengine', 'mmengine-lite'), '0.10.7'),
    Dependency('filelock', ('filelock',)),
    Dependency('cv2', ('opencv-python-headless',)),
    Dependency('numpy', ('numpy',)),
    Dependency('PIL', ('pillow',)),
    Dependency('yaml', ('pyyaml',)),
    Dependency('scipy', ('scipy',)),
    Dependency('sklearn', ('scikit-learn',)),
    Dependency('matplotlib', ('matplotlib',)),
    Dependency('rich', ('rich',)),
    Dependency('jinja2', ('jinja2',)),
    Dependency('safetensors', ('safetensors',)),
)
OPTIONAL = (
    Dependency('timm', ('timm',), '1.0', extra='timm'),
    Dependency('av', ('av',), '15', extra='video'),
    Dependency('gymnasium', ('gymnasium',), '1.0', extra='rl'),
    Dependency('stable_baselines3', ('stable-baselines3',), '2.3', extra='rl'),
    Dependency('transformers', ('transformers',), '4.40', extra='text'),
    Dependency('kaldi_native_fbank', ('kaldi-native-fbank',), '1.20', extra='video'),
    Dependency('umap', ('umap-learn',)),
    Dependency('faiss', ('faiss-cpu', 'faiss-gpu', 'faiss-gpu-cu12')),
    Dependency('mmcv', ('onedl-mmcv', 'mmcv', 'mmcv-lite'), extra='transfer'),
    Dependency('mmdet', ('onedl-mmdetection', 'mmdet'), extra='transfer'),
    Dependency('mmseg', ('onedl-mmsegmentation', 'mmsegmentation'), extra='transfer'),
)


def installed_version(dependency: Dependency) -> str | None:
    """Return the installed release, or None if no metadata says it (a source tree on the path, say)."""
    for name in dependency.distributions:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def release(version: str) -> tuple[int, ...]:
    """Parse the leading numbers of a version: ``'2.14.1+cpu'`` gives ``(2, 14, 1)``."""
    leading = re.match(r'\d+(?:\.\d+)*', version)
    return tuple(int(number) for number in leading[0].split('.')) if leading else ()


def problem_of(dependency: Dependency) -> str | None:
    """Say in one sentence what is wrong with a dependency; None if it can be used."""
    if find_spec(dependency.module) is None:
        return f'mmssl needs {dependency.module}, which is not installed: type  {dependency.command}'
    found = installed_version(dependency)
    if found and release(found) < release(dependency.minimum):
        return (
            f'mmssl needs {dependency.module} {dependency.minimum} or newer, but {found} is installed: '
            f'type  {dependency.command}'
        )
    return None


def torchvision_problem() -> str | None:
    """Say in one sentence that torchvision was built for another torch; None if it fits.

    torchvision requires one exact release of torch; with another, its import fails with an error that names neither.
    """
    try:
        torch_version, requirements = metadata.version('torch'), metadata.requires('torchvision') or []
    except metadata.PackageNotFoundError:
        return None
    wanted = re.search(r'^torch\s*\(?==\s*([\d.]+)', '\n'.join(requirements), flags=re.MULTILINE)
    if wanted is None or release(wanted[1]) == release(torch_version):
        return None
    return (
        f'torchvision {metadata.version("torchvision")} belongs to torch {wanted[1]}, but torch {torch_version} is '
        f'installed: type  pip install torchvision "torch=={torch_version}"'
    )


def check_dependencies() -> None:
    """Raise if a required package is missing or too old.

    Raises:
        ImportError: The first problem found, with the command that fixes it.
    """
    for dependency in REQUIRED:
        if problem := problem_of(dependency):
            raise ImportError(problem)
    if problem := torchvision_problem():
        raise ImportError(problem)


class _NotForOptimizers(MetaPathFinder):
    """Keep MMEngine from importing transformers, which takes a second, for one optimizer that torch has too."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Leave every module to the other finders, but this one for that caller.

        Raises:
            ModuleNotFoundError: MMEngine's builder of optimizers asks for transformers.
        """
        if name == 'transformers':
            frame: FrameType | None = sys._getframe()
            while frame and frame.f_globals['__name__'] in (__name__, 'importlib._bootstrap'):
                frame = frame.f_back
            if frame and frame.f_globals['__name__'] == 'mmengine.optim.optimizer.builder':
                raise ModuleNotFoundError('mmssl leaves transformers out here, since torch has its optimizer.')


def leave_out_unused_imports() -> None:
    """Shorten the start of every command by imports of MMEngine's that no config needs."""
    sys.meta_path.insert(0, _NotForOptimizers())


def require(module: str) -> ModuleType:
    """Import an optional dependency.

    Args:
        module: Import name of an entry of ``OPTIONAL``.

    Returns:
        The module.

    Raises:
        ImportError: The package is missing or too old; the message has the command that installs it.
    """
    dependency = next(entry for entry in OPTIONAL if entry.module == module)
    if problem := problem_of(dependency):
        raise ImportError(problem)
    return importlib.import_module(module)


def require_transfer(module: Literal['mmdet', 'mmseg']) -> ModuleType:
    """Import MMDetection or MMSegmentation with its models.

    Args:
        module: Import name.

    Returns:
        The module.

    Raises:
        ImportError: The package or MMCV is missing, or MMCV lacks its compiled ops; the message has the command that
            installs them.
    """
    require('mmcv')
    try:
        importlib.import_module('mmcv._ext')
    except ImportError as error:
        raise ImportError(
            f"{module} needs MMCV's compiled ops, and MMCV is installed without them or with those of another torch: "
            f'type  {_INSTALL_TRANSFER}'
        ) from error
    package = require(module)
    importlib.import_module(f'{module}.models')
    return package
