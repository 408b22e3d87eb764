"""Base class of memories."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from mmssl.functional import bit_sum, gather, max_over_ranks
from mmssl.models.upgrade import Upgrading
from mmssl.registry import MEMORIES

__all__ = ['BaseMemory', 'build_memory']


class BaseMemory(Upgrading):
    """State that lives across iterations outside the gradient.

    All of it is held in buffers or frozen parameters, so checkpoints contain it. Buffers that are sharded by rows over
    the ranks are named in ``sharded``, are not persistent, and are saved in parts. A forward pass *stages* what the
    memory should learn; after the optimizer's step :class:`~mmssl.engine.hooks.MemoryHook` makes the memory *commit*
    it, or *discard* it if the step was skipped. Every rank commits the rows of all ranks in the same order, so the
    copies stay equal.

    A memory of your own registers its buffers, has a method ``stage`` that checks its arguments and passes them to
    :meth:`keep`, and a method :meth:`commit` that gets them from :meth:`take_staged`, joined over all ranks and
    micro-batches. Register it in ``mmssl.registry.MEMORIES``, and name it in a config in place of the method's own:
    ``queue=dict(type='MyQueue', length=4096)``. It gets exactly the arguments that the config gives.

    Attributes:
        seed: Seed of the run; set by the Runner before ``allocate``.
        epoch: Number of the current epoch, from 0.
        sharded: Names of buffers of which every rank holds only its shard, the rows that ``shard_of`` assigns to it.
        num_clusters: Number of clusters; if there are any, ``labels`` ``(N,)`` holds the cluster of each image, -1 for
            none yet.
        per_image: Whether it holds a row or a label for each image, so that a run resumes only on the same images.
        prepares_in_batches: Whether :meth:`prepare` takes the features in batches, so that no process holds all.
        retired: Names of buffers that only older checkpoints hold; loading ignores them.
    """

    seed: int = 0
    epoch: int = 0
    sharded: tuple[str, ...] = ()
    num_clusters: int = 0
    labels: Tensor
    per_image: bool = False
    prepares_in_batches: bool = False
    retired: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self._staged: list[tuple[Tensor, ...]] = []

    def allocate(self, num_samples: int) -> None:
        """Allocate buffers whose size depends on the data; called once, before a checkpoint is loaded.

        Args:
            num_samples: Number of images of the training set.

        Raises:
            ValueError: The memory does not fit the data; the message names a size that fits.
        """

    def begin_epoch(self, epoch: int) -> None:
        """Called on every rank before an epoch, and again if a run resumes inside it: a second call changes nothing.

        Args:
            epoch: Its number, from 0.
        """
        self.epoch = epoch

    def wants_preparation(self, epoch: int) -> bool:
        """Whether :meth:`prepare` must run before this epoch; decided from buffers alone, so that a resume agrees."""
        return False

    def prepare(self, features: Tensor | Iterable[Tensor], epoch: int) -> None:
        """Start from the features of the whole training set.

        Args:
            features: Shape ``(N, D)``, in the order of the data set, without augmentation; with
                ``prepares_in_batches``, consecutive parts of it.
            epoch: The epoch that follows.
        """
        raise NotImplementedError(f'{type(self).__name__} asks for preparation but has no prepare().')

    def begin_step(self, learning_rate: float, loss_scale: float) -> None:
        """Called before every forward pass with the learning rate and loss scale, for memories with trained rows.

        Args:
            learning_rate: Learning rate of the optimizer's first group in this step.
            loss_scale: Factor of the loss in the backward pass under mixed precision; otherwise 1.
        """

    def keep(self, *tensors: Tensor) -> None:
        """Stage tensors of this rank without gradient; several calls before a commit are joined.

        Args:
            tensors: As many in every call, each with the batch as first dimension, shape ``(B, ...)``.
        """
        self._staged.append(tuple(tensor.detach() for tensor in tensors))

    def take_staged(self) -> tuple[Tensor, ...]:
        """Gather what all ranks staged since the last commit, and clear the stage.

        The rows of one call of :meth:`keep` follow those of the call before, those of a rank those of the rank before:
        one process would have staged them in the same order. All ranks must call it, or none, since rows are gathered,
        and must have staged as often. Batches may differ in length.

        Returns:
            One tensor per argument of :meth:`keep`, shape ``(B', ...)``; an empty tuple if nothing was staged.
        """
        staged = list(zip(*self._staged))
        self.discard()
        return tuple(torch.cat([gather(part) for part in parts]) for parts in staged)

    def commit(self) -> None:
        """Learn what was staged since the last commit; called on every rank after the optimizer's step."""
        raise NotImplementedError

    def discard(self) -> None:
        """Discard what was staged; called on every rank after a skipped step."""
        self._staged.clear()

    def maintain(self, iteration: int, epoch: int) -> None:
        """Do periodic work after a commit.

        Args:
            iteration: Optimizer steps taken so far, from 1.
            epoch: Number of the current epoch, from 0.
        """

    def upgrade(self, state: dict[str, Any], prefix: str) -> None:
        """Remove ``retired`` buffers from the state of an earlier version, in place.

        Args:
            state: State dict of the whole model.
            prefix: Prefix of this memory's keys.
        """
        for name in self.retired:
            state.pop(prefix + name, None)

    def state_names(self) -> list[str]:
        """Names of all parameters and buffers, including sharded ones."""
        return [name for name, _ in (*self.named_parameters(), *self.named_buffers())]

    def ranks_agree(self) -> bool:
        """Whether all ranks hold the same bits, by a checksum over the tensors of :meth:`compared`."""
        sums = [bit_sum(tensor) for tensor in self.compared()]
        return all(bool(max_over_ranks(total) == -max_over_ranks(-total)) for total in sums)

    def compared(self) -> list[Tensor]:
        """Tensors that must be equal on all ranks: every buffer except the sharded ones."""
        return [buffer for name, buffer in self.named_buffers() if name not in self.sharded]


def build_memory(memory: BaseMemory | dict, default: type[BaseMemory], **settings: Any) -> BaseMemory:
    """Build a memory from its config; a memory is returned unchanged.

    Args:
        memory: Memory, or its config; without ``type`` it is of the default class.
        default: Class of the memory unless the config names another.
        settings: Defaults of the method for its default class and for subclasses of it, which the config may override;
            an unrelated class gets only the config.
    """
    if isinstance(memory, BaseMemory):
        return memory
    kind = memory.get('type', default)
    kind = MEMORIES.get(kind) if isinstance(kind, str) else kind
    own = settings if isinstance(kind, type) and issubclass(kind, default) else {}
    return MEMORIES.build({'type': default, **own, **memory})
