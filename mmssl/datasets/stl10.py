"""STL-10: few labelled images, and many unlabelled ones to pre-train on."""

from pathlib import Path
from typing import Literal

import numpy as np

from mmssl.datasets.sources import ArraySource
from mmssl.registry import DATASETS

_PARTS = {'train': 'train', 'test': 'test', 'unlabelled': 'unlabeled'}
_SIDE = 96
_BYTES = 3 * _SIDE * _SIDE  # of an image


@DATASETS.register_module()
class STL10(ArraySource):
    """STL-10 in its own binary files, memory-mapped: the unlabelled part has 2.8 GB.

    Papers pre-train on the unlabelled part, or on it together with the training part:
    ``dict(type=Concat, parts=[dict(type=STL10), dict(type=STL10, split='unlabelled')])``. Classifiers learn from
    ``train`` (5,000 images of ten classes) and are measured on ``test`` (8,000).

    Args:
        root: Folder that holds ``stl10_binary``, as the unpacked archive does.
        split: ``'train'``, ``'test'`` or ``'unlabelled'`` (100,000 images without labels).

    Raises:
        ValueError: There is no such split, or a file is missing or incomplete.

    Source: Coates et al., "An Analysis of Single-Layer Networks in Unsupervised Feature Learning" (AISTATS 2011). The
    files have one channel after the other, each column by column.
    """

    def __init__(self, root: str | Path = 'data', split: Literal['train', 'test', 'unlabelled'] = 'train') -> None:
        if split not in _PARTS:
            raise ValueError(f'STL-10 has no split {split!r}: choose one of {list(_PARTS)}.')
        folder, part = Path(root) / 'stl10_binary', _PARTS[split]
        images = _mapped(folder / f'{part}_X.bin')
        labels: np.ndarray | None = None
        classes: list[str] | None = None
        if split != 'unlabelled':
            labels = np.frombuffer(_bytes_of(folder / f'{part}_y.bin'), np.uint8).astype(np.int64) - 1
            classes = _bytes_of(folder / 'class_names.txt').decode().split()
        super().__init__(images, labels, classes)
        self._title = f'stl10 {split}'


def _mapped(path: Path) -> np.ndarray:
    """Images of a file, uint8, shape ``(N, 96, 96, 3)``; nothing is read yet."""
    size = path.stat().st_size if path.is_file() else 0
    if not size or size % _BYTES:
        raise ValueError(
            f'{path} is missing or incomplete ({size:,} bytes): unpack stl10_binary.tar.gz there, or type  '
            f'python -c "from torchvision.datasets import STL10; STL10({str(path.parent.parent)!r}, download=True)"'
        )
    return np.memmap(path, np.uint8, 'r').reshape(-1, 3, _SIDE, _SIDE).transpose(0, 3, 2, 1)


def _bytes_of(path: Path) -> bytes:
    if not path.is_file():
        raise ValueError(f'There is no {path}: unpack all of stl10_binary.tar.gz.')
    return path.read_bytes()
