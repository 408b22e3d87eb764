"""Logs of a run, and its environment."""

import json
import os
import platform
import shlex
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import torch

from mmssl.version import __version__
from mmssl.visualization.charts import Curve

_PACKAGES = ('torch', 'torchvision', 'onedl-mmengine', 'mmengine', 'numpy', 'scikit-learn', 'timm')


def read_scalars(work_dir: str | Path) -> dict[str, Curve]:
    """Read everything that a run logged, in the order of its steps.

    Args:
        work_dir: Folder with ``<time>/vis_data/scalars.json``, one JSON object per line (MMEngine's format). A resumed
            run has several of these files; for each step, the latest file counts.

    Returns:
        Steps and values by name, for example ``loss``, ``lr``, ``time`` and ``knn_top1``.

    Raises:
        FileNotFoundError: The folder has no log.
    """
    paths = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not paths:
        raise FileNotFoundError(f'No log in {work_dir} (*/vis_data/scalars.json): give the work directory of a run.')
    found: dict[str, dict[float, float]] = {}
    for path in paths:
        for entry in map(json.loads, path.read_text().splitlines()):
            for name, value in entry.items():
                if name != 'step' and isinstance(value, int | float):
                    found.setdefault(name, {})[entry['step']] = value
    return {
        name: Curve(sorted(history), [history[step] for step in sorted(history)]) for name, history in found.items()
    }


def environment() -> dict[str, str]:
    """Machine and packages that a result depends on; nothing that identifies the owner.

    Returns:
        Texts by title.
    """
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else 'none'
    return {
        'mmssl': _version('mmssl'),
        **{name: _version(name) for name in _PACKAGES if _version(name) != '-'},
        'Python': platform.python_version(),
        'system': f'{platform.system()} {platform.release()}, {platform.machine()}',
        'processor': f'{_processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads',
        'GPU': device,
    }


def describe_command(arguments: Sequence[str]) -> str:
    """Format a command so that it can be typed again.

    Args:
        arguments: ``sys.argv``, or another list of words.

    Returns:
        One line, quoted for the shell; the installed command is named as its user types it.
    """
    program = Path(arguments[0])
    if program.stem == 'mmssl' or program.parts[-2:] == ('mmssl', '__main__.py'):
        arguments = ['mmssl', *arguments[1:]]
    return shlex.join(arguments)


def _version(name: str) -> str:
    if name == 'mmssl':
        return __version__
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return '-'


def _processor() -> str:
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor()
