"""A row for every sample of the training set."""

import torch
from torch import Tensor

from mmssl.functional import gather, hash_seed, unit
from mmssl.models.memories.base import BaseMemory
from mmssl.registry import MEMORIES

_START = 0xBA27  # tells the seed of the first rows from those of other draws


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
        if dtype not in ('float32', 'bfloat16'):
            raise ValueError(f"dtype={dtype!r} of a FeatureBank: set it to 'float32' or 'bfloat16'.")
        self.dim, self.momentum, self.num_neighbors = dim, momentum, num_neighbors
        self.register_buffer('rows', torch.zeros(0, dim, dtype=getattr(torch, dtype)))
        self.register_buffer('neighbors', torch.zeros(0, num_neighbors, dtype=torch.long))
        self._staged: list[tuple[Tensor, Tensor, Tensor]] = []

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
        generator = torch.Generator().manual_seed(hash_seed(self.seed, _START, 0))
        bound = (3 / self.dim) ** 0.5
        rows = torch.empty(num_samples, self.dim).uniform_(-bound, bound, generator=generator)
        self.rows = rows.to(self.rows)
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
        self._staged.append((sample_idx, rows.detach(), neighbors))

    def commit(self) -> None:
        """Mix the staged rows of all ranks into the old ones, make them unit, and write the neighbours."""
        if not self._staged:
            return
        sample_idx, rows, neighbors = self.take_staged()
        self.mix(sample_idx, rows)
        self.neighbors[sample_idx] = neighbors

    def take_staged(self) -> tuple[Tensor, Tensor, Tensor]:
        """What all ranks have staged, each sample once: numbers, rows and neighbours; nothing is staged afterwards."""
        sample_idx, *others = (gather(torch.cat(parts) if len(parts) > 1 else parts[0]) for parts in zip(*self._staged))
        self._staged.clear()
        last = last_occurrences(sample_idx)
        return sample_idx[last], *(other[last] for other in others)

    def mix(self, sample_idx: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Write ``momentum * old + (1 - momentum) * row``, made unit, for each sample.

        Returns:
            The old and the new rows.
        """
        old = self.rows[sample_idx]
        new = unit(rows.lerp(old.to(rows.dtype), self.momentum)).to(self.rows.dtype)
        self.rows[sample_idx] = new
        return old, new

    def discard(self) -> None:
        """Forget what was staged."""
        self._staged.clear()


def last_occurrences(numbers: Tensor) -> Tensor:
    """Places of the last occurrence of each number: int64, ``(B,)`` to ``(B',)``, ascending numbers."""
    ordered, places = numbers.sort(stable=True)
    last = torch.ones_like(ordered, dtype=torch.bool)
    last[:-1] = ordered[1:] != ordered[:-1]
    return places[last]
