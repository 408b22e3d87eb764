"""Sharded rows: each process saves its part, and a resumed run splits them again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmssl.checkpoint import part_path, read_parts, write_checkpoint
from mmssl.functional import lengths_on_ranks, rank, shard_of, world_size


def own_part(model: nn.Module, progress: dict[str, Any]) -> dict[str, Any] | None:
    """This process's part of the sharded buffers of all memories, as stored in checkpoints.

    Args:
        model: An algorithm.
        progress: Position in the run; distinguishes the parts of different checkpoints.

    Returns:
        The part; None if no memory is sharded.
    """
    rows = _sharded(model)
    counts = {name: value for name, value in progress.items() if name != 'time'}  # each process has its own clock
    return {'parts': world_size(), 'progress': counts, 'rows': rows} if rows else None


def write_part(part: dict[str, Any], path: Path) -> None:
    """Write this process's part next to the checkpoint; the first process's part goes into the checkpoint itself."""
    if rank() > 0:
        write_checkpoint(part, part_path(path, rank(), world_size()))


def restore_rows(model: nn.Module, checkpoint: Mapping[str, Any], path: Path) -> None:
    """Fill the sharded buffers of this process from the parts of a checkpoint, however many processes wrote them.

    Args:
        model: An algorithm, allocated.
        checkpoint: From :func:`~mmssl.checkpoint.read_checkpoint`.
        path: Path of the checkpoint; its parts are next to it.

    Raises:
        ValueError: A part is missing or belongs to another checkpoint, or its rows do not match the model's.
    """
    sharded = _sharded(model)
    if not sharded:
        return
    parts = read_parts(checkpoint, path)
    for name, rows in sharded.items():
        pieces = [part['rows'][name] for part in parts if name in part['rows']]
        found = (sum(map(len, pieces)), *(pieces[0].shape[1:] if pieces else ()))
        wanted = (sum(lengths_on_ranks(len(rows), rows.device)), *rows.shape[1:])
        if found != wanted:
            raise ValueError(
                f'{path} and its parts hold {name} of shape {found} instead of {wanted}: use the config and the data '
                'that it was made with.'
            )
        rows.copy_(_cut(pieces, *shard_of(found[0], rank(), world_size())))


def _sharded(model: nn.Module) -> dict[str, Tensor]:
    memories = model.memories() if hasattr(model, 'memories') else {}
    return {f'{name}.{key}': getattr(memory, key) for name, memory in memories.items() for key in memory.sharded}


def _cut(pieces: list[Tensor], first: int, length: int) -> Tensor:
    """Rows ``first`` to ``first + length`` of consecutive pieces."""
    found, start = [], 0
    for piece in pieces:
        found.append(piece[max(first - start, 0) : max(first + length - start, 0)])
        start += len(piece)
    return torch.cat(found)
