"""Collectives that also work without a process group, in a single process.

Every function takes ``group``; ``None`` means all processes. Without an initialised process group there is one
process, and the functions return their argument.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup


def world_size(group: ProcessGroup | None = None) -> int:
    """Number of processes in the group; 1 without ``torch.distributed``."""
    return dist.get_world_size(group) if dist.is_available() and dist.is_initialized() else 1


def rank(group: ProcessGroup | None = None) -> int:
    """Rank of this process in the group; 0 without ``torch.distributed``."""
    return dist.get_rank(group) if dist.is_available() and dist.is_initialized() else 0


def sum_over_ranks(tensor: Tensor, group: ProcessGroup | None = None) -> Tensor:
    """Sum of the tensors of all ranks, on every rank; no gradient. The argument is not changed."""
    return _reduced(tensor, dist.ReduceOp.SUM, group)


def max_over_ranks(tensor: Tensor, group: ProcessGroup | None = None) -> Tensor:
    """Elementwise maximum over the tensors of all ranks, on every rank; no gradient. The argument is not changed."""
    return _reduced(tensor, dist.ReduceOp.MAX, group)


def _reduced(tensor: Tensor, operation: dist.ReduceOp, group: ProcessGroup | None) -> Tensor:
    if world_size(group) == 1:
        return tensor
    tensor = tensor.detach().clone()
    dist.all_reduce(tensor, operation, group=group)
    return tensor


def mean_over_ranks(tensor: Tensor, group: ProcessGroup | None = None) -> Tensor:
    """Mean of all elements of the tensors of all ranks, a scalar on every rank; no gradient. Sizes may differ."""
    values = tensor.detach()
    total, count = sum_over_ranks(torch.stack([values.sum(), values.new_tensor(values.numel())]), group)
    return total / count


def gather(rows: Tensor, group: ProcessGroup | None = None) -> Tensor:
    """Gather the rows of all ranks in rank order, as a single process would have them; no gradient.

    Args:
        rows: Shape ``(B_r, ...)``; ``B_r`` may differ between ranks and may be 0.
        group: The processes that take part.

    Returns:
        Shape ``(sum of B_r, ...)``, the same on every rank.
    """
    if world_size(group) == 1:
        return rows.detach()
    return _joined(rows, lengths_on_ranks(len(rows), rows.device, group), group)


def gather_with_gradient(rows: Tensor, group: ProcessGroup | None = None) -> tuple[Tensor, int]:
    """Gather like :func:`gather`, and sum the gradient of a row over all ranks that used it.

    Args:
        rows: Shape ``(B_r, ...)``; ``B_r`` may differ between ranks and may be 0.
        group: The processes that take part.

    Returns:
        Shape ``(sum of B_r, ...)``, the same on every rank; and the position of this rank's first row in it.
    """
    if world_size(group) == 1:
        return rows, 0
    lengths = lengths_on_ranks(len(rows), rows.device, group)
    return _Gather.apply(rows, lengths, group), sum(lengths[: rank(group)])


def reversed_batch(rows: Tensor, group: ProcessGroup | None = None) -> Tensor:
    """This rank's part of the global batch in reverse order: row ``i`` of ``G`` becomes row ``G - 1 - i``.

    Args:
        rows: Shape ``(B_r, ...)``; ``B_r`` may differ between ranks. With several ranks, each receives all rows.
        group: The processes that take part.

    Returns:
        Shape ``(B_r, ...)``; gradients flow back to the ranks that the rows came from.
    """
    everything, before = gather_with_gradient(rows, group)
    return everything.flip(0)[before : before + len(rows)]


def broadcast(tensor: Tensor, source: int, group: ProcessGroup | None = None) -> Tensor:
    """Send a tensor of one rank to every rank; no gradient.

    Args:
        tensor: The tensor to send, on the source; elsewhere any tensor of its shape and dtype, which is not changed.
        source: Rank of the sender in the group.
        group: The processes that take part.
    """
    if world_size(group) == 1:
        return tensor.detach()
    received = tensor.detach() if rank(group) == source else torch.empty_like(tensor)
    dist.broadcast(received, source if group is None else dist.get_global_rank(group, source), group=group)
    return received


def lengths_on_ranks(length: int, device: torch.device, group: ProcessGroup | None = None) -> list[int]:
    """Collect an integer from every rank, such as its batch size, in rank order."""
    if world_size(group) == 1:
        return [length]
    own = torch.tensor([length], device=device)
    lengths = [torch.empty_like(own) for _ in range(world_size(group))]
    dist.all_gather(lengths, own, group=group)
    return torch.cat(lengths).tolist()


def _joined(rows: Tensor, lengths: list[int], group: ProcessGroup | None) -> Tensor:
    padded = rows.new_zeros((max(lengths), *rows.shape[1:]))
    padded[: len(rows)] = rows.detach()
    parts = [torch.empty_like(padded) for _ in lengths]
    dist.all_gather(parts, padded, group=group)
    return torch.cat([part[:length] for part, length in zip(parts, lengths)])


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, rows: Tensor, lengths: list[int], group: ProcessGroup | None) -> Tensor:
        context.lengths, context.group = lengths, group
        return _joined(rows, lengths, group)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        own = sum_over_ranks(gradient, context.group).split(context.lengths)[rank(context.group)]
        return own, None, None
