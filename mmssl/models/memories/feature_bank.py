"""Bank of one feature row per image."""

import torch
from torch import Tensor

from mmssl.functional import last_occurrences, mixed_rows, random_rows
from mmssl.models.memories.base import BaseMemory
from mmssl.ranges import COUNT, INDEX, SHARE, check_numbers
from mmssl.registry import MEMORIES

DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16}


def check_dtype(dtype: str, owner: str) -> None:
    """Refuse a dtype that a bank cannot store; ``owner`` is the class that the message names."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype={dtype!r} of a {owner}: set it to 'float32' or 'bfloat16'.")


@MEMORIES.register_module()
class FeatureBank(BaseMemory):
    """Moving averages of the unit embeddings of all images, and optionally their neighbours.

    Every rank holds all rows. If an image occurs twice in a global batch, the last occurrence in rank order counts.

    Buffers: ``rows`` ``(N, dim)``; ``neighbors`` ``(N, num_neighbors)`` int64, sample indices, initially 0.

    Args:
        dim: Width of a row, at least 1.
        momentum: Weight of the OLD row, 0 to 1. The papers of InvP and NPID state this weight; those of ODC and
            InterCLR state the weight of the new row, ``1 - momentum``.
        num_neighbors: Neighbours kept per image, at least 0.
        dtype: ``'float32'`` or ``'bfloat16'``, which takes half the memory.

    Source: instance discrimination, section 3.3 (Wu et al., CVPR 2018), and its released code for the initial rows
    (uniform, with an expected squared length of 1).
    """

    per_image = True
    rows: Tensor
    neighbors: Tensor

    def __init__(self, dim: int, momentum: float = 0.5, num_neighbors: int = 0, dtype: str = 'float32') -> None:
        check_numbers(COUNT, dim=dim)
        check_numbers(SHARE, momentum=momentum)
        check_numbers(INDEX, num_neighbors=num_neighbors)
        super().__init__()
        check_dtype(dtype, 'FeatureBank')
        self.dim, self.momentum, self.num_neighbors = dim, momentum, num_neighbors
        self.register_buffer('rows', torch.zeros(0, dim, dtype=DTYPES[dtype]))
        self.register_buffer('neighbors', torch.zeros(0, num_neighbors, dtype=torch.long))

    def __len__(self) -> int:
        return len(self.rows)

    def allocate(self, num_samples: int) -> None:
        """Draw a random row per image, the same on every rank.

        Raises:
            ValueError: More neighbours than other images.
        """
        if self.num_neighbors >= num_samples:
            raise ValueError(
                f'{self.num_neighbors} neighbours per image, but the data set has {num_samples} images: set '
                f'num_neighbors of the bank to {num_samples - 1} or less.'
            )
        self.rows = random_rows(num_samples, self.dim, self.seed).to(self.rows)
        self.neighbors = self.neighbors.new_zeros(num_samples, self.num_neighbors)

    def stage(self, sample_idx: Tensor, rows: Tensor, neighbors: Tensor | None = None) -> None:
        """Stage what this rank saw for the next commit.

        Args:
            sample_idx: Sample indices, int64, shape ``(B,)``.
            rows: Their unit embeddings, shape ``(B, dim)``.
            neighbors: Their neighbours, int64, shape ``(B, num_neighbors)``; None if the bank keeps none.

        Raises:
            ValueError: The number of neighbours is not that of the bank.
        """
        neighbors = sample_idx.new_empty(len(sample_idx), 0) if neighbors is None else neighbors
        if neighbors.shape[1] != self.num_neighbors:
            raise ValueError(
                f'{neighbors.shape[1]} neighbours per image for a bank of {self.num_neighbors}: set num_neighbors of '
                f'the bank to {neighbors.shape[1]}.'
            )
        self.keep(sample_idx, rows, neighbors)

    def commit(self) -> None:
        """Mix the staged rows of all ranks into the old ones, normalise them, and write the neighbours."""
        if not self._staged:
            return
        sample_idx, rows, neighbors = self.take_staged()
        last = last_occurrences(sample_idx)
        sample_idx = sample_idx[last]
        self.rows[sample_idx] = mixed_rows(self.rows[sample_idx], rows[last], self.momentum)
        self.neighbors[sample_idx] = neighbors[last]
