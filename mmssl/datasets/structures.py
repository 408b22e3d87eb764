"""Batches that travel from the data set to the algorithm: stacked tensors, no object per sample."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor
from torch.utils.data import default_collate

from mmssl.registry import FUNCTIONS

NEEDED = ('inputs', 'sample_idx', 'draw')
NUMBERS = ('sample_idx', 'draw', 'unreadable', 'warned', 'gt_label')
RESERVED = ('inputs', *NUMBERS, 'extras')  # names that no further field of a source or view may have


@dataclass
class Batch:
    """Everything in a batch besides its views.

    Attributes:
        sample_idx: Index of each image in the data set, int64, shape ``(B,)``.
        draw: Number of each draw in the whole run, int64, shape ``(B,)``.
        gt_label: Class of each image, int64, shape ``(B,)``; None without labels.
        extras: Further fields of the source or the views by name: tensors of shape ``(B, ...)`` in their original
            dtype, or lists of ``B`` texts. ``boxes`` of :class:`~mmssl.datasets.MultiView` are ``(B, V, 4)``.
    """

    sample_idx: Tensor
    draw: Tensor
    gt_label: Tensor | None = None
    extras: dict[str, Tensor | list] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.sample_idx)

    def repeated(self, times: int) -> 'Batch':
        """Return a batch with every image ``times`` times: the whole batch, then the whole batch again."""
        if times == 1:
            return self
        label = None if self.gt_label is None else self.gt_label.repeat(times)
        extras = {
            name: torch.cat([value] * times) if isinstance(value, Tensor) else value * times
            for name, value in self.extras.items()
        }
        return Batch(self.sample_idx.repeat(times), self.draw.repeat(times), label, extras)

    @classmethod
    def field_names(cls) -> list[str]:
        """Names of the fields, in order."""
        return [field.name for field in fields(cls)]


class DataSample(BaseDataElement):
    """Result for one image, made by ``predict`` only: ``feature`` ``(D,)`` and ``sample_idx``."""


@FUNCTIONS.register_module()
def collate(samples: list[dict]) -> dict:
    """Stack samples into a batch.

    As stacked tensors, 256 samples move between processes in 10 ms; as objects they take 100 to 500 ms. Nothing is
    dropped and no dtype is changed: a Python number becomes int64, float64 or bool.

    Args:
        samples: From :class:`~mmssl.datasets.ImageDataset`, or a data set of your own: dictionaries with ``inputs``
            (views), ``sample_idx`` and ``draw``; optionally ``gt_label``, ``unreadable`` and ``warned``; and
            further fields, each a tensor, an array, a number, a sequence of numbers, or text. All have the same keys.

    Returns:
        ``inputs``, one ``(B, C, H, W)`` tensor per view, or ``(B, C, T, H, W)`` for clips; ``sample_idx``, ``draw``,
        ``gt_label``, ``unreadable`` and ``warned``, int64 ``(B,)``; and ``extras``, all other fields by name:
        ``(B, ...)`` tensors, or lists of ``B`` texts.

    Raises:
        ValueError: A field is missing in some samples, differs in shape or dtype, or cannot be stacked.
    """
    _check_names(samples)
    views = list(zip(*(sample['inputs'] for sample in samples), strict=True))
    batch: dict[str, Any] = {'inputs': [_stack(f'view {place}', view) for place, view in enumerate(views)]}
    for name in NUMBERS:
        if name in samples[0]:
            batch[name] = _whole_numbers(name, [sample[name] for sample in samples])
    others = [name for name in samples[0] if name not in batch]
    return {**batch, 'extras': {name: _stack(name, [sample[name] for sample in samples]) for name in others}}


def _check_names(samples: list[dict]) -> None:
    """Refuse samples that lack a field, or differ in their fields or number of views."""
    first = samples[0]
    missing = [name for name in NEEDED if name not in first]
    if missing or 'extras' in first:
        raise ValueError(
            f'A sample has the fields {list(first)}: it needs {", ".join(NEEDED)}, and each further field under a name '
            "of its own, but not 'extras', where collate puts them."
        )
    for sample in samples[1:]:
        if odd := sorted(sample.keys() ^ first.keys()):
            raise ValueError(
                f'Only one of the samples {first["sample_idx"]} and {sample["sample_idx"]} has {odd[0]!r}: give a '
                'field for every sample or for none.'
            )
        if len(sample['inputs']) != len(first['inputs']):
            raise ValueError(
                f'Sample {first["sample_idx"]} has {len(first["inputs"])} views and sample {sample["sample_idx"]} has '
                f'{len(sample["inputs"])}: give every sample the same number of views.'
            )


def _whole_numbers(name: str, values: Sequence) -> Tensor:
    stacked = _stack(name, values)
    if not isinstance(stacked, Tensor) or stacked.is_floating_point() or stacked.is_complex():
        raise ValueError(f'{name!r} holds {values[0]!r}: give whole numbers, and anything else under another name.')
    return stacked.long()


def _stack(name: str, values: Sequence) -> Tensor | list:
    """Stack one field of all samples into a tensor, or a list of texts."""
    if all(isinstance(value, str | bytes) for value in values):
        return list(values)
    if all(type(value) is int for value in values):
        return torch.tensor(values)
    tensors = [_tensor(name, value) for value in values]
    for tensor in tensors[1:]:
        if tensor.shape != tensors[0].shape:
            raise ValueError(
                f'{name!r} has shape {tuple(tensors[0].shape)} in one sample and {tuple(tensor.shape)} in another of '
                'the same batch: pad or cut it to one shape in the views.'
            )
        if tensor.dtype != tensors[0].dtype:
            raise ValueError(_two_dtypes(name, tensors[0].dtype, tensor.dtype))
    return default_collate(tensors)  # in a worker, stacks into shared memory


def _tensor(name: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    try:
        return torch.as_tensor(np.array(value))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f'{name!r} holds a {type(value).__name__} that is not a tensor, array, number, sequence of numbers or '
            f'text, so it cannot be stacked ({error}): convert it in the source or the views.'
        ) from error


def _two_dtypes(name: str, one: torch.dtype, other: torch.dtype) -> str:
    if {one, other} == {torch.uint8, torch.uint16}:
        return 'Images of 8 and of 16 bits in one batch: convert the data set to one of them.'
    return f'{name!r} is {one} in one sample and {other} in another of the same batch: convert it to one dtype.'
