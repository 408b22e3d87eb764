"""Centre of rows: a moving average of their mean."""

import torch
from torch import Tensor

from mmssl.models.memories.base import BaseMemory
from mmssl.ranges import COUNT, SHARE, check_numbers
from mmssl.registry import MEMORIES


@MEMORIES.register_module()
class Centre(BaseMemory):
    """Moving average of the mean of all rows that a step stages on all ranks.

    Buffers: ``value`` ``(dim,)``, zeros before the first commit.

    Args:
        dim: Width of the rows, at least 1.
        momentum: Weight of the OLD value, 0 to 1.

    Source: DINO, eq. 4 (Caron et al., ICCV 2021).
    """

    value: Tensor

    def __init__(self, dim: int, momentum: float = 0.9) -> None:
        check_numbers(COUNT, dim=dim)
        check_numbers(SHARE, momentum=momentum)
        super().__init__()
        self.momentum = momentum
        self.register_buffer('value', torch.zeros(dim))

    def stage(self, rows: Tensor) -> None:
        """Stage rows, ``(B, dim)``, for the next commit; only their sum is kept."""
        self.keep(rows.sum(dim=0, keepdim=True), rows.new_full((1,), len(rows)))

    def commit(self) -> None:
        """Move the centre towards the mean of the staged rows of all ranks."""
        staged = self.take_staged()
        if staged:
            sums, counts = staged
            self.value.mul_(self.momentum).add_(sums.sum(dim=0) / counts.sum(), alpha=1 - self.momentum)
