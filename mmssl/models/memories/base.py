"""What every memory has in common."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from mmssl.functional import gather, max_over_ranks
from mmssl.models.upgrade import Upgrading
from mmssl.registry import MEMORIES

_SLICE = 1 << 22  # elements: their sum makes a copy of 8 bytes each
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes an element


class BaseMemory(Upgrading):
    """State that lives across iterations outside the gradient.

    All of it is held in buffers or frozen parameters, so a checkpoint has it; buffers that are cut by rows over the
    ranks are named in ``sharded``, are not persistent, and are saved in parts. A forward pass *stages* what the memory
    should learn; after the optimizer's step :class:`~mmssl.engine.hooks.MemoryHook` makes the memory *commit* it, or
    *discard* it where the step was skipped. Every rank commits the rows of all ranks, in the same order, so that the
    copies stay equal.

    A memory of your own registers its buffers, has a method ``stage`` that checks its arguments and passes them to
    :meth:`keep`, and a method :meth:`commit` that gets them from :meth:`take_staged`, those of all ranks and
    micro-batches joined. Register it in ``mmssl.registry.MEMORIES``, and a config names it in the place of the method's
    own: ``queue=dict(type='MyQueue', length=4096)``. It gets exactly the arguments that the config gives.

    Attributes:
        seed: Of the run; set by the Runner before ``allocate``.
        epoch: Number of the running epoch, from 0.
        sharded: Names of buffers of which every rank holds the rows that ``shard_of`` gives it.
        num_clusters: Clusters that the samples belong to; where there are any, ``labels`` ``(N,)`` holds that of each
            sample, -1 for none yet.
        prepares_in_batches: Whether :meth:`prepare` takes the features batch by batch, so that no process holds all.
        retired: Names of buffers that only older checkpoints hold; they are left out when one is loaded.
    """

    seed: int = 0
    epoch: int = 0
    sharded: tuple[str, ...] = ()
    num_clusters: int = 0
    labels: Tensor
    prepares_in_batches: bool = False
    retired: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self._staged: list[tuple[Tensor, ...]] = []

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

    def prepare(self, features: Tensor | Iterable[Tensor], epoch: int) -> None:
        """Start from the features of the whole training set.

        Args:
            features: Shape ``(N, D)``, in the order of the data set, without augmentation; or consecutive parts of
                that, with ``prepares_in_batches``.
            epoch: The epoch that follows.
        """
        raise NotImplementedError(f'{type(self).__name__} asks for preparation but has no prepare().')

    def begin_step(self, learning_rate: float, loss_scale: float) -> None:
        """Runs before every forward pass; memories that hold what is trained take note.

        Args:
            learning_rate: Of the optimizer's first group in this step.
            loss_scale: What the loss is multiplied by before the backward pass (mixed precision); else 1.
        """

    def keep(self, *tensors: Tensor) -> None:
        """Stage tensors of this rank without their gradient; several calls before a commit are joined.

        Args:
            tensors: The same number of them in every call, each with the rows of a batch first, shape ``(B, ...)``.
        """
        self._staged.append(tuple(tensor.detach() for tensor in tensors))

    def take_staged(self) -> tuple[Tensor, ...]:
        """What all ranks have staged since the last commit, in the order of the ranks; nothing is staged afterwards.

        Every rank must call it, or none: the rows are gathered. Batches of unequal length are fine.

        Returns:
            One tensor for each argument of :meth:`keep`, shape ``(B', ...)``; none where nothing was staged.
        """
        staged = list(zip(*self._staged))
        self.discard()
        return tuple(gather(torch.cat(parts) if len(parts) > 1 else parts[0]) for parts in staged)

    def commit(self) -> None:
        """Learn what was staged since the last commit; runs on every rank after the optimizer's step."""
        raise NotImplementedError

    def discard(self) -> None:
        """Forget what was staged; runs on every rank after a skipped step."""
        self._staged.clear()

    def maintain(self, iteration: int, epoch: int) -> None:
        """Periodic work after a commit.

        Args:
            iteration: Optimizer steps taken so far, from 1.
            epoch: Number of the running epoch, from 0.
        """

    def upgrade(self, state: dict[str, Any], prefix: str) -> None:
        """Take buffers that are ``retired`` out of the state of an earlier version, in place.

        Args:
            state: State dict of the whole model.
            prefix: What the keys of this memory begin with.
        """
        for name in self.retired:
            state.pop(prefix + name, None)

    def state_names(self) -> list[str]:
        """Names of all that the memory holds, the sharded buffers too."""
        return [name for name, _ in (*self.named_parameters(), *self.named_buffers())]

    def ranks_agree(self) -> bool:
        """Whether all ranks hold the same bits, by a checksum over what :meth:`compared` names."""
        sums = [_bit_sum(tensor) for tensor in self.compared()]
        return all(bool(max_over_ranks(total) == -max_over_ranks(-total)) for total in sums)

    def compared(self) -> list[Tensor]:
        """What must be the same on all ranks: every buffer but the sharded ones."""
        return [buffer for name, buffer in self.named_buffers() if name not in self.sharded]


def build_memory(memory: BaseMemory | dict, default: type[BaseMemory], **settings: Any) -> BaseMemory:
    """A memory from its config; a memory stays as it is.

    Args:
        memory: Memory, or its config; without ``type`` it is of the default class.
        default: What the method has unless the config names another class.
        settings: What the method asks of its default class and of classes that inherit from it, unless the config says
            otherwise; a class of its own kind gets the config alone.
    """
    if isinstance(memory, BaseMemory):
        return memory
    kind = memory.get('type', default)
    kind = MEMORIES.get(kind) if isinstance(kind, str) else kind
    own = settings if isinstance(kind, type) and issubclass(kind, default) else {}
    return MEMORIES.build({'type': default, **own, **memory})


def _bit_sum(buffer: Tensor) -> Tensor:
    bits = buffer.contiguous().view(-1).view(_INTEGERS[buffer.element_size()])
    parts = bits.split(_SLICE) if len(bits) else [bits]
    return torch.stack([part.sum(dtype=torch.int64) for part in parts]).sum()
