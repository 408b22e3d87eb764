"""What every memory has in common."""

import torch
from torch import Tensor, nn

from mmssl.functional import max_over_ranks

_SLICE = 1 << 22  # elements: their sum makes a copy of 8 bytes each
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes an element


class BaseMemory(nn.Module):
    """State that lives across iterations outside the gradient.

    All of it is held in buffers or frozen parameters, so a checkpoint has it. A forward pass *stages* what the memory
    should learn; after the optimizer's step :class:`~mmssl.engine.hooks.MemoryHook` makes the memory *commit* it, or
    *discard* it where the step was skipped. Every rank commits the rows of all ranks, in the same order, so that the
    copies stay equal.

    Attributes:
        seed: Of the run; set by MemoryHook before ``allocate``.
        epoch: Number of the running epoch, from 0.
    """

    seed: int = 0
    epoch: int = 0

    def allocate(self, num_samples: int) -> None:
        """Make buffers whose size depends on the data; called once, before a checkpoint is loaded.

        Args:
            num_samples: Number of images of the training set.

        Raises:
            ValueError: The memory does not fit the data; the message names a size that does.
        """

    def begin_epoch(self, epoch: int) -> None:
        """Runs on every rank before an epoch, also where a run is resumed inside one: a second call changes nothing.

        Args:
            epoch: Its number, from 0.
        """
        self.epoch = epoch

    def wants_preparation(self, epoch: int) -> bool:
        """Whether :meth:`prepare` has to run before this epoch. What has been prepared must be told from buffers."""
        return False

    def prepare(self, features: Tensor, epoch: int) -> None:
        """Start from the features of the whole training set.

        Args:
            features: Shape ``(N, D)``, in the order of the data set, without augmentation.
            epoch: The epoch that follows.
        """
        raise NotImplementedError(f'{type(self).__name__} asks for preparation but has no prepare().')

    def commit(self) -> None:
        """Learn what was staged since the last commit; runs on every rank after the optimizer's step."""
        raise NotImplementedError

    def discard(self) -> None:
        """Forget what was staged; runs on every rank after a skipped step."""
        raise NotImplementedError

    def maintain(self, iteration: int, epoch: int) -> None:
        """Periodic work after a commit.

        Args:
            iteration: Optimizer steps taken so far, from 1.
            epoch: Number of the running epoch, from 0.
        """

    def ranks_agree(self) -> bool:
        """Whether all ranks hold the same bits, by a checksum over what :meth:`compared` names."""
        sums = [_bit_sum(tensor) for tensor in self.compared()]
        return all(bool(max_over_ranks(total) == -max_over_ranks(-total)) for total in sums)

    def compared(self) -> list[Tensor]:
        """What must be the same on all ranks: every buffer."""
        return list(self.buffers())


def _bit_sum(buffer: Tensor) -> Tensor:
    bits = buffer.contiguous().view(-1).view(_INTEGERS[buffer.element_size()])
    parts = bits.split(_SLICE) if len(bits) else [bits]
    return torch.stack([part.sum(dtype=torch.int64) for part in parts]).sum()
