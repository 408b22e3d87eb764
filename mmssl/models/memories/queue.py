"""Rows in order of arrival."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmssl.models.memories.base import BaseMemory
from mmssl.ranges import COUNT, INDEX, check_numbers
from mmssl.registry import MEMORIES


@MEMORIES.register_module()
class Queue(BaseMemory):
    """The most recent rows; new rows replace the oldest (a ring buffer, without shifts).

    Every rank holds the same rows.

    Buffers: ``rows`` ``(length, dim)`` float32; ``head``, the next index to write; ``filled``, the number of rows that
    hold data.

    Args:
        length: Number of rows, at least 1.
        dim: Width of a row, at least 1.
        start_epoch: First epoch whose rows are kept, at least 0.
        random: Whether the queue starts full, with random unit rows as in MoCo, instead of empty as in SwAV.

    Source: the queues of MoCo (He et al., CVPR 2020) and SwAV (Caron et al., NeurIPS 2020), which shift copies.
    """

    rows: Tensor
    head: Tensor
    filled: Tensor

    def __init__(self, length: int, dim: int, start_epoch: int = 0, random: bool = False) -> None:
        check_numbers(COUNT, length=length, dim=dim)
        check_numbers(INDEX, start_epoch=start_epoch)
        super().__init__()
        self.start_epoch = start_epoch
        self.register_buffer('rows', normalize(torch.randn(length, dim)) if random else torch.zeros(length, dim))
        self.register_buffer('head', torch.zeros((), dtype=torch.long))
        self.register_buffer('filled', torch.tensor(length if random else 0))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def full(self) -> bool:
        """Whether every row holds data."""
        return int(self.filled) == len(self)

    def allocate(self, num_samples: int) -> None:
        """Refuse a queue that would hold images twice.

        Raises:
            ValueError: The queue is longer than the training set.
        """
        if len(self) > num_samples:
            raise ValueError(
                f'A queue of {len(self)} rows, but the data set has {num_samples} images: it would hold '
                f'several rows of one image. Set the length of the queue to {num_samples} or less.'
            )

    def stage(self, rows: Tensor) -> None:
        """Stage rows of this rank for the next commit.

        Args:
            rows: Shape ``(B, dim)``; ``B`` may differ between ranks.
        """
        if self.epoch >= self.start_epoch:
            self.keep(rows)

    def commit(self) -> None:
        """Write the staged rows of all ranks, the newest over the oldest."""
        if not self._staged:
            return
        (rows,) = self.take_staged()
        places = newest_places(self.head, len(rows), len(self))
        self.rows[places] = rows[len(rows) - len(places) :].to(self.rows.dtype)
        self.head.copy_((self.head + len(rows)) % len(self))
        self.filled.copy_((self.filled + len(rows)).clamp_max(len(self)))


def newest_places(head: Tensor, count: int, length: int) -> Tensor:
    """Places of a ring that new rows take; if there are more rows than places, the last ones take them all.

    Args:
        head: Next place to write, int64, a scalar.
        count: Number of new rows.
        length: Number of places.

    Returns:
        Places of the last ``min(count, length)`` rows, in their order, int64.
    """
    kept = min(count, length)
    return (head + count - kept + torch.arange(kept, device=head.device)) % length
