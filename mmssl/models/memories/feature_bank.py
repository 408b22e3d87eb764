"""A row for every sample of the training set."""

import torch
from torch import Tensor

from mmssl.functional import last_occurrences, mixed_rows, random_rows
from mmssl.models.memories.base import BaseMemory
from mmssl.registry import MEMORIES

DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16}


def check_dtype(dtype: str, owner: str) -> None:
    """Refuse what rows of a bank cannot be stored as; ``owner`` is the class that the message names."""
    if dtype not in DTYPES:
        raise ValueError(f"dtype={dtype!r} of a {owner}: set it to 'float32' or 'bfloat16'.")


@MEMORIES.register_module()
class FeatureBank(BaseMemory):
    """Unit embeddings of all samples, each a moving average of those that were seen; and their neighbours, if asked.

    Every rank holds all rows. Where a sample occurs twice in a global batch, the last occurrence in the order of the
    ranks counts.

    Buffers: ``rows`` ``(N, dim)``; ``neighbors`` ``(N, num_neighbors)`` int64, sample numbers, 0 at the start.

    Args:
        dim: Width of a row.
        momentum: Weight of the OLD row, 0 to 1. InvP and NPID give this weight; ODC and InterCLR give that of the
            new row, ``1 - momentum``.
        num_neighbors: Neighbours kept for each sample.
        dtype: ``'float32'`` or ``'bfloat16'``, which takes half the memory.

    Source: instance discrimination, section 3.3 (Wu et al., CVPR 2018), and its released code for the first rows
    (uniform, of an expected length of 1).
    """

    rows: Tensor
    neighbors: Tensor

    def __init__(self, dim: int, momentum: float = 0.5, num_neighbors: int = 0, dtype: str = 'float32') -> None:
        super().__init__()
        check_dtype(dtype, 'FeatureBank')
        self.dim, self.momentum, self.num_neighbors = dim, momentum, num_neighbors
        self.register_buffer('rows', torch.zeros(0, dim, dtype=DTYPES[dtype]))
        self.register_buffer('neighbors', torch.zeros(0, num_neighbors, dtype=torch.long))

    def __len__(self) -> int:
        return len(self.rows)

    def allocate(self, num_samples: int) -> None:
        """Make a row for every sample, at random, and the same on every rank.

        Raises:
            ValueError: More neighbours than other samples.
        """
        if self.num_neighbors >= num_samples:
            raise ValueError(
                f'{self.num_neighbors} neighbours a sample, but the data set has {num_samples} samples: set '
                f'num_neighbors of the bank to {num_samples - 1} or less.'
            )
        self.rows = random_rows(num_samples, self.dim, self.seed).to(self.rows)
        self.neighbors = self.neighbors.new_zeros(num_samples, self.num_neighbors)

    def stage(self, sample_idx: Tensor, rows: Tensor, neighbors: Tensor | None = None) -> None:
        """Keep what this rank saw for the next commit.

        Args:
            sample_idx: Numbers of the samples, int64, shape ``(B,)``.
            rows: Their unit embeddings, shape ``(B, dim)``.
            neighbors: Their neighbours, int64, shape ``(B, num_neighbors)``; not given where the bank keeps none.

        Raises:
            ValueError: Neighbours for a bank that keeps none, or none for one that does.
        """
        neighbors = sample_idx.new_empty(len(sample_idx), 0) if neighbors is None else neighbors
        if neighbors.shape[1] != self.num_neighbors:
            raise ValueError(
                f'{neighbors.shape[1]} neighbours a sample for a bank of {self.num_neighbors}: set num_neighbors of '
                f'the bank to {neighbors.shape[1]}.'
            )
        self.keep(sample_idx, rows, neighbors)

    def commit(self) -> None:
        """Mix the staged rows of all ranks into the old ones, make them unit, and write the neighbours."""
        if not self._staged:
            return
        sample_idx, rows, neighbors = self.take_staged()
        last = last_occurrences(sample_idx)
        sample_idx = sample_idx[last]
        self.rows[sample_idx] = mixed_rows(self.rows[sample_idx], rows[last], self.momentum)
        self.neighbors[sample_idx] = neighbors[last]
