"""Images in the layout of PASCAL VOC, with the classes that each of them shows."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import torch
from torch import Tensor

from mmssl.datasets import ImageSource, read_image
from mmssl.datasets.images import EXTENSIONS
from mmssl.evaluation.svm import ABSENT, IGNORED, PRESENT


class NamedImages(ImageSource):
    """Files of one folder in a given order, without labels.

    Args:
        root: The folder.
        names: File names.
    """

    fingerprint: str

    def __init__(self, root: Path, names: Sequence[str]) -> None:
        self.root, self.names = root, list(names)
        self.fingerprint = hashlib.sha256('\n'.join(self.names).encode()).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.names)

    def load(self, index: int) -> Tensor:
        """Decode an image, uint8 or uint16, shape ``(C, H, W)``."""
        return read_image(self.path(index))

    def path(self, index: int) -> Path:
        """Path of an image."""
        return self.root / self.names[index]

    def name(self, index: int) -> str:
        """File name of an image."""
        return self.names[index]


class VOCSplit(NamedTuple):
    """The images of a split.

    Attributes:
        source: The images.
        targets: int64, shape ``(N, C)``: 1 if the image shows an object of the class, -1 if all of them are difficult,
            else 0. The class lists of VOC2007 have 1, 0 and -1 instead.
    """

    source: NamedImages
    targets: Tensor


class VOCImages(NamedTuple):
    """Splits in the layout of PASCAL VOC.

    Attributes:
        classes: Names of the classes, sorted.
        splits: The splits, in the order of the argument.
    """

    classes: list[str]
    splits: list[VOCSplit]


def voc_images(folder: str | Path, splits: Sequence[str]) -> VOCImages:
    """Read the images of splits, and the classes that each image shows.

    Args:
        folder: Contains ``Annotations``, ``ImageSets/Main`` and ``JPEGImages``.
        splits: Names of text files in ``ImageSets/Main``.

    Returns:
        Names of the classes, and the images of each split with their targets.

    Raises:
        ValueError: A folder, split, image or annotation is missing or cannot be read.
    """
    folder = Path(folder)
    for part in ('Annotations', 'ImageSets/Main', 'JPEGImages'):
        if not (folder / part).is_dir():
            raise ValueError(f'No folder {folder / part}: give --data a folder in the layout of PASCAL VOC.')
    files = {path.stem: path.name for path in (folder / 'JPEGImages').iterdir() if path.suffix.lower() in EXTENSIONS}
    names = [_names(folder / 'ImageSets' / 'Main' / f'{split}.txt', files) for split in splits]
    shown = [[_shown(folder / 'Annotations' / f'{name}.xml') for name in part] for part in names]
    classes = sorted({label for part in shown for image in part for label in image})
    targets = [torch.tensor([[image.get(label, ABSENT) for label in classes] for image in part]) for part in shown]
    sources = [NamedImages(folder / 'JPEGImages', [files[name] for name in part]) for part in names]
    return VOCImages(classes, list(map(VOCSplit, sources, targets)))


def _names(path: Path, files: dict[str, str]) -> list[str]:
    if not path.is_file():
        found = ', '.join(sorted(file.stem for file in path.parent.glob('*.txt'))[:10]) or 'none'
        raise ValueError(f'No split {path}: name one of {found} with --splits.')
    names = [line.split()[0] for line in path.read_text('utf-8').splitlines() if line.strip()]
    lacking = [name for name in names if name not in files]
    if lacking or not names:
        raise ValueError(f'{path} names {len(names)} images, {len(lacking)} of which JPEGImages lacks: {lacking[:3]}.')
    return names


def _shown(path: Path) -> dict[str, int]:
    """Classes of an image: present, or ignored if all objects of the class are difficult."""
    try:
        objects = ElementTree.parse(path).getroot().findall('object')
        pairs = [(_name(entry), int(entry.findtext('difficult') or 0)) for entry in objects]
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise ValueError(
            f'{path} cannot be read as an annotation of PASCAL VOC ({error}): correct the file.'
        ) from error
    easy = {label for label, difficult in pairs if not difficult}
    return {label: PRESENT if label in easy else IGNORED for label, _ in pairs}


def _name(entry: ElementTree.Element) -> str:
    name = entry.findtext('name')
    if name is None:
        raise ValueError('an object has no name')
    return name.strip()
