"""Collectives that need no process group where there is one process.

Every function takes ``group``; ``None`` means all processes. Without an initialised process group there is one
process, and the functions give back what they got.
"""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup


def world_size(group: ProcessGroup | None = None) -> int:
    """Number of processes in the group; 1 without ``torch.distributed``."""
    return dist.get_world_size(group) if dist.is_available() and dist.is_initialized() else 1


def rank(group: ProcessGroup | None = None) -> int:
    """Place of this process in the group; 0 without ``torch.distributed``."""
    return dist.get_rank(group) if dist.is_available() and dist.is_initialized() else 0


def sum_over_ranks(tensor: Tensor, group: ProcessGroup | None = None) -> Tensor:
    """Sum of the tensors of all ranks, on every rank; no gradient. The argument stays as it is."""
    return _reduced(tensor, dist.ReduceOp.SUM, group)


def max_over_ranks(tensor: Tensor, group: ProcessGroup | None = None) -> Tensor:
    """Elementwise maximum over the tensors of all ranks, on every rank; no gradient. The argument stays as it is."""
    return _reduced(tensor, dist.ReduceOp.MAX, group)


def _reduced(tensor: Tensor, operation: dist.ReduceOp, group: ProcessGroup | None) -> Tensor:
    if world_size(group) == 1:
        return tensor
    tensor = tensor.detach().clone()
    dist.all_reduce(tensor, operation, group=group)
    return tensor


def gather(rows: Tensor, group: ProcessGroup | None = None) -> Tensor:
    """Rows of all ranks in rank order, which is the order of one process; no gradient.

    Args:
        rows: Shape ``(B_r, ...)``; ``B_r`` may differ between ranks and may be 0.
        group: The processes that take part.

    Returns:
        Shape ``(sum of B_r, ...)``, the same on every rank.
    """
    ranks = world_size(group)
    if ranks == 1:
        return rows.detach()
    length = torch.tensor([len(rows)], device=rows.device)
    lengths = [torch.empty_like(length) for _ in range(ranks)]
    dist.all_gather(lengths, length, group=group)
    longest = int(torch.cat(lengths).max())
    padded = rows.new_zeros((longest, *rows.shape[1:]))
    padded[: len(rows)] = rows.detach()
    parts = [torch.empty_like(padded) for _ in range(ranks)]
    dist.all_gather(parts, padded, group=group)
    return torch.cat([part[: int(n)] for part, n in zip(parts, lengths)])
