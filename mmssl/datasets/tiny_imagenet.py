"""Tiny ImageNet in its own layout, in which the validation part has a list instead of class folders."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from mmssl.datasets.sources import ImageFolder, hash_arrays
from mmssl.registry import DATASETS


@DATASETS.register_module()
class TinyImageNet(ImageFolder):
    """200 classes of ImageNet with 500 training and 50 validation images each, of 64 pixels.

    Reads the archive as it unpacks: ``train/n01443537/images/*.JPEG``, and ``val/images/*.JPEG`` with the classes in
    ``val/val_annotations.txt``. A ``val`` that somebody sorted into class folders works as well. (The images in
    ``test`` have no published classes.)

    Args:
        root: The unpacked folder.
        split: ``'train'`` or ``'val'``.

    Raises:
        ValueError: There is no such split or folder, an image of ``val`` is not in the list, or a class of it not in
            ``train``.
    """

    def __init__(self, root: str | Path = 'data/tiny-imagenet-200', split: Literal['train', 'val'] = 'train') -> None:
        folder = Path(root) / split
        if split not in ('train', 'val') or not folder.is_dir():
            raise ValueError(
                f'No split {split!r} of Tiny ImageNet in {root}: give the folder that tiny-imagenet-200.zip unpacks '
                "to, and 'train' or 'val'."
            )
        classes = sorted(entry.name for entry in (Path(root) / 'train').iterdir() if entry.is_dir())
        annotations = folder / 'val_annotations.txt'
        listed = split == 'val' and annotations.is_file() and (folder / 'images').is_dir()
        super().__init__(folder, labels=not listed, classes=None if listed else classes)
        if listed:
            labels = _listed_labels(annotations, classes, [self.name(index) for index in range(len(self))])
            fingerprint = hash_arrays(np.frombuffer(self._listing.fingerprint.encode(), np.uint8), labels)
            self._listing = replace(self._listing, labels=labels, classes=classes, fingerprint=fingerprint, cache=None)
            self._labelled = True


def _listed_labels(annotations: Path, classes: list[str], names: list[str]) -> np.ndarray:
    """Class of every image, int32, by a list whose lines hold a file name, a class, and a box."""
    numbers = {name: number for number, name in enumerate(classes)}
    rows = (line.split('\t') for line in annotations.read_text('utf-8').splitlines() if line.strip())
    found = {row[0]: row[1] for row in rows if len(row) > 1}
    files = [name.rpartition('/')[2] for name in names]
    missing = [file for file in files if file not in found]
    unknown = sorted({found[file] for file in files if file in found} - numbers.keys())
    if missing or unknown:
        raise ValueError(
            f'{annotations} has no class for {len(missing)} of {len(files)} images '
            f'({", ".join(missing[:3]) or "none"}), and {len(unknown)} classes that train lacks '
            f'({", ".join(unknown[:3]) or "none"}): unpack all of tiny-imagenet-200.zip.'
        )
    return np.array([numbers[found[file]] for file in files], np.int32)
