"""Small labelled data sets that backbones are transferred to, read with torchvision's classes."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from mmssl.datasets.images import UnreadableImageError, image_to_tensor
from mmssl.datasets.sources import ImageSource, hash_arrays
from mmssl.registry import DATASETS


class _Set(NamedTuple):
    """Data set class of torchvision, and how the literature uses it.

    Attributes:
        name: Name of the class.
        training: Arguments of each part used for training.
        test: Arguments of the part used for testing.
        mean_per_class: Whether accuracy is averaged over the classes.
    """

    name: str
    training: Sequence[Mapping[str, Any]]
    test: Mapping[str, Any]
    mean_per_class: bool = False


_TWO_PARTS = [{'split': 'train'}, {'split': 'val'}]
_SETS = {
    'cifar10': _Set('CIFAR10', [{'train': True}], {'train': False}),
    'cifar100': _Set('CIFAR100', [{'train': True}], {'train': False}),
    'flowers': _Set('Flowers102', _TWO_PARTS, {'split': 'test'}, mean_per_class=True),
    'pets': _Set('OxfordIIITPet', [{'split': 'trainval'}], {'split': 'test'}, mean_per_class=True),
    'cars': _Set('StanfordCars', [{'split': 'train'}], {'split': 'test'}),
    'aircraft': _Set('FGVCAircraft', [{'split': 'trainval'}], {'split': 'test'}, mean_per_class=True),
    'dtd': _Set('DTD', _TWO_PARTS, {'split': 'test'}),
}


@DATASETS.register_module()
class TorchvisionSource(ImageSource):
    """Small classification data set, read from torchvision's folder layout.

    Splits and accuracy are those of the papers on transfer: training uses the training and validation parts together;
    accuracy is averaged over the classes for Flowers, Pets and Aircraft. DTD uses its first split. (CIFAR comes as
    pickled batches; torchvision compares their checksums with the published ones before it reads them.)

    Args:
        name: ``'cifar10'``, ``'cifar100'``, ``'flowers'``, ``'pets'``, ``'cars'``, ``'aircraft'`` or ``'dtd'``.
        root: Folder that holds torchvision's own folder of the data set.
        split: ``'train'`` or ``'test'``.

    Attributes:
        mean_per_class: Whether accuracy is averaged over the classes.

    Raises:
        ValueError: There is no such data set or split, or its files are missing.

    Source: Kornblith et al., "Do Better ImageNet Models Transfer Better?" (CVPR 2019), section 3, and SimCLR, B.8, for
    the splits and measures (from memory).
    """

    labels: Tensor
    classes: list[str] | None

    def __init__(self, name: str, root: str | Path = 'data', split: Literal['train', 'test'] = 'train') -> None:
        if name not in _SETS or split not in ('train', 'test'):
            raise ValueError(f"No set {name!r} with split {split!r}: there are {list(_SETS)}, each 'train' and 'test'.")
        chosen = _SETS[name]
        parts = chosen.training if split == 'train' else [chosen.test]
        self.parts = [_open(chosen.name, Path(root), part) for part in parts]
        self._ends = torch.tensor([len(part) for part in self.parts]).cumsum(0).tolist()
        self._title, self.mean_per_class = f'{name} {split}', chosen.mean_per_class
        self.labels = torch.tensor([label for part in self.parts for label in _labels(part)])
        self.classes = list(getattr(self.parts[0], 'classes', ())) or None

    def __len__(self) -> int:
        return self._ends[-1]

    def load(self, index: int) -> Tensor:
        """Decode an image, uint8, shape ``(3, H, W)``."""
        place = next(place for place, end in enumerate(self._ends) if index < end)
        part = self.parts[place]
        try:
            return image_to_tensor(part[index - (self._ends[place] - len(part))][0])
        except (OSError, ValueError, SyntaxError) as error:
            raise UnreadableImageError(f'{self.name(index)} cannot be read: {error}') from error

    def name(self, index: int) -> str:
        """Name of the data set, split and index."""
        return f'{self._title}[{index}]'

    @cached_property
    def fingerprint(self) -> str:
        """Hash of name, split and labels; not of the pixels."""
        return hash_arrays(torch.tensor(list(self._title.encode())), self.labels)


def _open(name: str, root: Path, arguments: Mapping[str, Any]) -> Dataset:
    from torchvision import datasets

    try:
        return getattr(datasets, name)(root, **arguments)
    except (RuntimeError, OSError) as error:
        command = f'python -c "from torchvision.datasets import {name}; {name}(\'{root}\', download=True)"'
        raise ValueError(
            f'{name} is not in {root}, or incomplete ({error}): type  {command}  or unpack it there, into the folders '
            f"that torchvision's documentation of {name} gives."
        ) from error


def _labels(part: Any) -> Sequence[int]:
    """Read the class of every image without decoding any (torchvision has no common attribute for it)."""
    for place in ('targets', '_labels'):
        if hasattr(part, place):
            return getattr(part, place)
    return [label for _, label in part._samples]
