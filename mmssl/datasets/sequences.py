"""Sources of feature sequences, and the data set that turns a draw into a window of one."""

from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmssl.datasets.datasets import TRIES, ImageDataset
from mmssl.datasets.feature_sequences import FeatureSequence, read_sequence
from mmssl.datasets.images import UnreadableImageError
from mmssl.datasets.sources import ImageSource, hash_arrays
from mmssl.functional import Stream, hash_seed, seed_cpu
from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import DATASETS


class SequenceSource(ImageSource):
    """Base class of sources whose items are sequences; as images, they are gray maps of their features over time."""

    @abstractmethod
    def sequence(self, index: int) -> FeatureSequence:
        """Load a sequence.

        Args:
            index: From 0 to ``len(self) - 1``.

        Raises:
            UnreadableImageError: It cannot be read.
        """

    def load(self, index: int) -> Tensor:
        """Draw the image features: channels from top to bottom, time to the right; uint8, shape ``(1, D, T)``."""
        visual = self.sequence(index).visual.T
        low, high = visual.min(), visual.max()
        return ((visual - low) / (high - low).clamp_min(1e-6) * 255).round().byte()[None]


@DATASETS.register_module()
class SequenceFolder(SequenceSource):
    """All ``.npz`` files in a folder and its subfolders, sorted.

    ``tools/dataset_tools/feature_sequences.py`` writes them. A file has ``visual``, floats of shape ``(T, D)``, and
    optionally ``audio``, ``(T, A)``, and ``highlights``, ``(T,)``. The top-level folder of a file is its class, if
    every file is in such a folder and there are at least two.

    Args:
        root: The folder.

    Attributes:
        labels: Class of each sequence, int64, shape ``(N,)``; None without classes.

    Raises:
        ValueError: There is no such folder, or it holds no sequences.
    """

    labels: Tensor | None
    classes: list[str] | None

    def __init__(self, root: str | Path) -> None:
        self.root = Path(str(root))
        self.paths = sorted(path.relative_to(self.root).as_posix() for path in self.root.rglob('*.npz'))
        if not self.paths:
            raise ValueError(
                f'No feature sequences (.npz) in {root}: write them with tools/dataset_tools/feature_sequences.py, and '
                'give their folder as root.'
            )
        tops = [path.partition('/')[0] if '/' in path else '' for path in self.paths]
        names = sorted(set(tops))
        self.classes = names if '' not in tops and len(names) > 1 else None
        self.labels = torch.tensor([names.index(top) for top in tops]) if self.classes else None

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        """Path of a file relative to the root."""
        return self.paths[index]

    def path(self, index: int) -> Path:
        """File of a sequence."""
        return self.root / self.paths[index]

    def sequence(self, index: int) -> FeatureSequence:
        """Read a file."""
        return read_sequence(self.path(index))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the relative paths; not of the features."""
        return hash_arrays(np.frombuffer('\n'.join(self.paths).encode('utf-8', 'surrogateescape'), np.uint8))


@DATASETS.register_module()
class SequenceDataset(ImageDataset):
    """Windows of feature sequences, determined by ``(seed, draw)`` like views of images; see :class:`ImageDataset`.

    A view is a float32 tensor of shape ``(D, T, 1, 1)``: a clip of one pixel. Beside it, a sample has ``audio``,
    ``(A, T)``, and ``highlights``, ``(T,)``, where they are known. A sequence that is broken, too short, or lacks the
    sound that is asked for, is named, and replaced by another, chosen by a hash.

    Args:
        source: A :class:`SequenceSource` or its config.
        channels: Features ``D`` of a step, at least 1.
        length: Steps of a window, at least 1.
        random: Whether the window starts at random; else it is in the middle.
        audio: Whether the sound is needed.
        seed: Seed of the run; set by the Runner.

    Raises:
        ValueError: The source holds no sequences.
    """

    def __init__(
        self,
        source: SequenceSource | dict,
        channels: int,
        length: int = 32,
        random: bool = False,
        audio: bool = False,
        seed: int = 0,
    ) -> None:
        check_numbers(COUNT, channels=channels, length=length)
        super().__init__(source, _unchanged, channels, seed, _unchanged)
        self.length, self.random, self.audio = length, random, audio

    def plain(self) -> 'SequenceDataset':
        """Return the same sequences with the window in the middle of each."""
        plain = super().plain()
        assert isinstance(plain, SequenceDataset)
        plain.random = False
        return plain

    def _load(self, index: int, draw: int) -> tuple[Tensor, dict[str, Any], int]:
        for attempt in range(TRIES):
            try:
                found = self.source.sequence(index)
                self._check(found, index)
                return *self._window(found, draw), index
            except UnreadableImageError as error:
                last = error
                index = hash_seed(self.seed, draw, attempt) % len(self)
        raise UnreadableImageError(f'{TRIES} sequences in a row cannot be read; the last: {last}')

    def _check(self, found: FeatureSequence, index: int) -> None:
        steps = len(found.visual)
        if steps < self.length:
            raise UnreadableImageError(
                f'{self.source.name(index)} is too short: {steps} steps, but {self.length} are needed.'
            )
        if self.audio and found.audio is None:
            raise UnreadableImageError(
                f'{self.source.name(index)} has no sound, which is needed to train: leave it out, or give a video with '
                'a sound track.'
            )

    def _window(self, found: FeatureSequence, draw: int) -> tuple[Tensor, dict[str, Any]]:
        room = len(found.visual) - self.length
        if self.random:
            seed_cpu(hash_seed(self.seed, Stream.FRAMES, draw))
            start = int(torch.randint(room + 1, ()))
        else:
            start = room // 2
        found = found.steps(start, self.length)
        extras = {'audio': found.audio.T.contiguous()} if self.audio and found.audio is not None else {}
        if found.highlights is not None:
            extras['highlights'] = found.highlights
        return found.visual.T.contiguous()[..., None, None], extras


def _unchanged(sequence: Tensor) -> Tensor:
    return sequence
