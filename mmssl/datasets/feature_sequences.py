"""A sequence of features over the time of a video, and its file."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmssl.datasets.images import UnreadableImageError

_ARRAYS = {'visual': '(T, D)', 'audio': '(T, A)', 'highlights': '(T,)'}


class FeatureSequence(NamedTuple):
    """Features of a video at evenly spaced times.

    Attributes:
        visual: Features of the images, float32, shape ``(T, D)``.
        audio: Features of the sound, float32, shape ``(T, A)``; None for a video without a sound track.
        highlights: Which steps are highlights, bool, shape ``(T,)``; None if that is not known.
    """

    visual: Tensor
    audio: Tensor | None = None
    highlights: Tensor | None = None

    def steps(self, start: int, length: int) -> 'FeatureSequence':
        """Some of the steps, in order."""
        return FeatureSequence(*(None if part is None else part[start : start + length] for part in self))


def read_sequence(path: str | Path) -> FeatureSequence:
    """Read a sequence that :func:`write_sequence` wrote.

    Args:
        path: An ``.npz`` file.

    Raises:
        UnreadableImageError: It cannot be read, or its arrays have other shapes or lengths.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in _ARRAYS if name in file}
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise UnreadableImageError(f'{path} cannot be read: it is no complete .npz file of numbers.') from error
    if not _fit(found):
        needed = ', '.join(f'{name} {shape}' for name, shape in _ARRAYS.items())
        given = ', '.join(f'{name} {array.shape}' for name, array in found.items()) or 'none of its arrays'
        raise UnreadableImageError(f'{path} holds {given}; needed is visual, and the others if known: {needed}.')
    tensors = {name: torch.from_numpy(array) for name, array in found.items()}
    return FeatureSequence(
        tensors['visual'].float(),
        tensors['audio'].float() if 'audio' in tensors else None,
        tensors['highlights'].bool() if 'highlights' in tensors else None,
    )


def _fit(found: dict[str, np.ndarray]) -> bool:
    """Whether there are image features, and all arrays have the right axes and as many steps."""
    dims = {name: array.ndim for name, array in found.items()}
    wanted = {name: 1 if name == 'highlights' else 2 for name in found}
    return 'visual' in found and dims == wanted and {len(array) for array in found.values()} == {len(found['visual'])}


def write_sequence(path: Path, sequence: FeatureSequence) -> None:
    """Write a sequence into an ``.npz`` file, whose folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{name: part.numpy() for name, part in sequence._asdict().items() if part is not None})
