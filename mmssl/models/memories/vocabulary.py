"""Vocabulary of visual words, taken from the teacher's maps."""

from typing import Literal

import torch
from torch import Tensor

from mmssl.functional import (
    Stream,
    bag_of_words,
    hash_draws,
    hash_seed,
    local_averages,
    mean_over_ranks,
    word_distances,
)
from mmssl.models.memories.base import BaseMemory
from mmssl.ranges import COUNT, POSITIVE, SEVERAL, check_given, check_numbers
from mmssl.registry import MEMORIES

_KEPT, _START = 0.99, 0.5  # of the mean distance
_SMALLEST = 5  # side of a map: its border is dropped, and 3 x 3 pixels around a place are averaged


@MEMORIES.register_module()
class Vocabulary(BaseMemory):
    """Words that images are described with; in each step, a place of every image replaces one of the oldest words.

    Buffers: ``words`` ``(num_words, dim)``, random and not negative at first; ``head``, the next word to replace;
    ``distance``, the running mean of the squared distance to the nearest word, by which distances are divided. In
    training mode, a bag counts the distances of its own images, too. Every rank holds the same.

    Args:
        num_words: Number of words, at least 2.
        dim: Channels of the maps, at least 1.
        inv_delta: How sharply places are assigned, in units of the running mean, above 0; None for the nearest word
            alone.
        pooling: How the places of an image are joined, ``'max'`` or ``'mean'``.

    Source: OBoW, section 3.2 and 3.3 (Gidaris et al., CVPR 2021); valeoai/obow for the order of operations.
    """

    words: Tensor
    head: Tensor
    distance: Tensor

    def __init__(
        self, num_words: int, dim: int, inv_delta: float | None = 15.0, pooling: Literal['max', 'mean'] = 'max'
    ) -> None:
        check_numbers(SEVERAL, num_words=num_words)
        check_numbers(COUNT, dim=dim)
        check_given(POSITIVE, inv_delta=inv_delta)
        super().__init__()
        self.inv_delta, self.pooling = inv_delta, pooling
        self.register_buffer('words', torch.randn(num_words, dim).relu())
        self.register_buffer('head', torch.zeros((), dtype=torch.long))
        self.register_buffer('distance', torch.tensor(_START))

    def __len__(self) -> int:
        return len(self.words)

    def allocate(self, num_samples: int) -> None:
        """Refuse more words than images: a step adds one word per image.

        Raises:
            ValueError: There are too many words.
        """
        if len(self) > num_samples:
            raise ValueError(
                f'A vocabulary of {len(self)} words, but the data set has {num_samples} images: set num_words to '
                f'{max(num_samples // 10, 2)} or less (ten images per word).'
            )

    def bags(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Shares of the words in images, without the border of their maps.

        Args:
            maps: The teacher's, shape ``(B, dim, H, W)``.

        Returns:
            Shape ``(B, num_words)``, each row sums to 1; and the mean squared distance of the places of each image to
            their nearest words, shape ``(B,)``.

        Raises:
            ValueError: The maps are too small, or have another width than the words.
        """
        if (width := maps.shape[1]) != self.words.shape[1]:
            raise ValueError(
                f'The backbone gives maps of {width} channels for words of {self.words.shape[1]}: set dim={width} for '
                'this vocabulary and for its level in head.word_channels, or choose another of the maps with levels.'
            )
        distances = word_distances(_inner(maps), self.words)
        nearest = distances.amin(dim=2).mean(dim=1)
        if self.inv_delta is None:
            return bag_of_words(distances, None, self.pooling), nearest
        mean = self._moved(mean_over_ranks(nearest)) if self.training else self.distance
        return bag_of_words(distances, self.inv_delta / mean, self.pooling), nearest

    def _moved(self, nearest: Tensor) -> Tensor:
        return _KEPT * self.distance + (1 - _KEPT) * nearest.to(self.distance.dtype)

    def stage(self, maps: Tensor, draws: Tensor, nearest: Tensor) -> None:
        """Stage one place of each image as a word, averaged with its neighbours, and the distances to the nearest.

        Args:
            maps: The teacher's, shape ``(B, dim, H, W)``.
            draws: Draw numbers of the images, from which the places follow, int64, shape ``(B,)``.
            nearest: From :meth:`bags`, shape ``(B,)``.
        """
        inner = _inner(maps)
        count = (inner.shape[2] - 2) * (inner.shape[3] - 2)
        places = hash_draws(hash_seed(self.seed, Stream.WORDS), draws, 1)[:, 0] % count
        self.keep(local_averages(inner, places), nearest)

    def commit(self) -> None:
        """Replace the oldest words by the staged rows of all ranks, and move the mean distance."""
        if not self._staged:
            return
        rows, nearest = self.take_staged()
        self.distance.copy_(self._moved(nearest.mean()))
        newest = rows[-len(self) :].to(self.words.dtype)
        places = (self.head + len(rows) - len(newest) + torch.arange(len(newest), device=rows.device)) % len(self)
        self.words[places] = newest
        self.head.copy_((self.head + len(rows)) % len(self))


def _inner(maps: Tensor) -> Tensor:
    """Maps without their border, whose pixels see the padding."""
    if min(maps.shape[2:]) < _SMALLEST:
        raise ValueError(
            f'The teacher sees maps of {maps.shape[2]} x {maps.shape[3]} pixels, but words need {_SMALLEST} x '
            f'{_SMALLEST}: give the first view more pixels, or set levels to earlier stages.'
        )
    return maps[:, :, 1:-1, 1:-1]
