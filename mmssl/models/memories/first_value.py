"""Number that is estimated from the first batch and then kept."""

import torch
from torch import Tensor

from mmssl.models.memories.base import BaseMemory
from mmssl.registry import MEMORIES


@MEMORIES.register_module()
class FirstValue(BaseMemory):
    """The first positive number that was committed.

    Buffers: ``value``, a float32 scalar; 0 before the first commit.

    Source: the constant Z of instance discrimination, section 3.2 (Wu et al., CVPR 2018).
    """

    value: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer('value', torch.zeros(()))

    def stage(self, value: Tensor) -> None:
        """Stage a positive scalar, the same on every rank, for the next commit; the first of several counts."""
        self.keep(value)

    def commit(self) -> None:
        """Keep the staged value if there is none yet."""
        if not self.value and self._staged:
            self.value.copy_(self._staged[0][0])
        self.discard()
