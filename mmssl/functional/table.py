"""Softmax cross-entropy over millions of classes, without holding all logits at once."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from mmssl.functional.collectives import (
    broadcast,
    gather,
    gather_with_gradient,
    lengths_on_ranks,
    max_over_ranks,
    rank,
    sum_over_ranks,
    world_size,
)
from mmssl.functional.precision import in_float32
from mmssl.functional.unit import unit

_LOGITS = 1 << 21  # per piece: 8 MB in float32, which fit in the cache
_COSINES = 1 << 24  # held at once in the search for the hardest classes
SoftTargets = tuple[Tensor, Tensor]


def shard_of(num_classes: int, place: int, shards: int) -> tuple[int, int]:
    """First class and number of classes of a shard; the first shards have one more if the division is not exact.

    Args:
        num_classes: Number of classes in the whole table.
        place: Index of the shard, from 0; the rank.
        shards: Number of shards; the number of processes.

    Source: Partial FC (An et al., 2020), deepinsight/insightface.
    """
    size, rest = divmod(num_classes, shards)
    return size * place + min(place, rest), size + (place < rest)


@in_float32
def table_cross_entropy(
    features: Tensor,
    table: Tensor,
    targets: Tensor,
    temperature: float,
    soft_targets: SoftTargets | None = None,
    group: ProcessGroup | None = None,
    bfloat16: bool = False,
) -> Tensor:
    """Softmax cross-entropy over the cosines of features with all rows of a table that is sharded over the processes.

    Forward and backward go through the table in pieces, and the backward pass recomputes the logits, so that memory
    does not grow with classes times samples. Gradients are exact. The table's gradient is that of the mean over all
    samples of all ranks and must not be averaged again; the features' gradient is that of this rank's mean, and
    averaging it over the ranks (as DDP does, with weights if batches are unequal) gives the gradient of one process.

    Args:
        features: Unit rows of this rank's samples, shape ``(B, D)``; ``B`` may differ between ranks.
        table: This rank's rows of the table, of any length: they are normalised here; shape ``(N_r, D)``, with
            ``N_r`` from :func:`shard_of`.
        targets: Class of each sample in the whole table, int64, shape ``(B,)``.
        temperature: Divides the cosines; positive.
        soft_targets: Further classes of each sample and their shares of its weight, ``(B, K)`` each, with the same
            ``K`` on all ranks; the target keeps the rest.
        group: The processes that take part; ``None`` means all; no process group is needed.
        bfloat16: Whether to compute the products in bfloat16; sums stay in float32.

    Returns:
        Scalar: mean over this rank's samples.

    Raises:
        ValueError: A class is not in the table.

    Source: million-way instance classification (Liu et al., AAAI 2021); Partial FC (An et al., 2020) for the shards.
    """
    classes, weights = targets[:, None], features.new_ones(len(targets), 1)
    if soft_targets is not None:
        shares = soft_targets[1].to(features)
        classes = torch.cat([classes, soft_targets[0]], dim=1)
        weights = torch.cat([1 - shares.sum(dim=1, keepdim=True), shares], dim=1)
    everything, before = gather_with_gradient(features, group)
    lengths = lengths_on_ranks(len(table), table.device, group)
    wanted = _Wanted(gather(classes, group), gather(weights, group), sum(lengths[: rank(group)]))
    if len(wanted.classes) and not 0 <= wanted.classes.min() <= wanted.classes.max() < sum(lengths):
        raise ValueError(
            f'Classes {int(wanted.classes.min())} to {int(wanted.classes.max())}, but the table has {sum(lengths)} '
            'rows: classes are row indices, from 0.'
        )
    losses = _TableCrossEntropy.apply(everything, table, wanted, temperature, group, bfloat16)
    return losses[before : before + len(features)].mean()


@torch.no_grad()
@in_float32
def hardest_classes(table: Tensor, count: int, group: ProcessGroup | None = None, bfloat16: bool = False) -> Tensor:
    """Find the rows of the whole table that are most similar to each row of this rank, except itself.

    The shards are sent to all ranks in turn, and each is compared with a few rows at a time.

    Args:
        table: This rank's rows, of any length, shape ``(N_r, D)``.
        count: Number of classes per row; fewer than the table has.
        group: The processes that take part.
        bfloat16: Whether to compute the products in bfloat16.

    Returns:
        Indices of rows in the whole table, most similar first, int64, shape ``(N_r, count)``.

    Source: hard-class smoothing in million-way instance classification (Liu et al., AAAI 2021).
    """
    own = unit(table)
    cosines = own.new_full((len(own), count), -torch.inf)
    classes = own.new_zeros((len(own), count), dtype=torch.long)
    first = 0
    for owner, length in enumerate(lengths_on_ranks(len(own), own.device, group)):
        rows = broadcast(own if owner == rank(group) else own.new_empty(length, own.shape[1]), owner, group)
        for some in torch.arange(len(own), device=own.device).split(max(_COSINES // max(length, 1), 1)):
            found = _product(own[some], rows.T, bfloat16)
            if owner == rank(group):
                found[torch.arange(len(some)), some] = -torch.inf
            cosines[some], places = torch.cat([cosines[some], found], dim=1).topk(count, dim=1)
            before = classes[some].gather(1, places.clamp_max(count - 1))
            classes[some] = torch.where(places < count, before, first + places - count)
        first += length
    return classes


def look_up(part: Tensor, classes: Tensor, group: ProcessGroup | None = None) -> Tensor:
    """Look up rows of a table that is sharded over the ranks.

    Args:
        part: This rank's rows, shape ``(N_r, K)``.
        classes: Classes that this rank wants, indices of rows in the whole table, int64, shape ``(B,)``; ``B`` may
            differ between ranks.
        group: The processes that take part.

    Returns:
        Shape ``(B, K)``.
    """
    wanted = gather(classes, group)
    places = wanted - sum(lengths_on_ranks(len(part), part.device, group)[: rank(group)])
    own = (places >= 0) & (places < len(part))
    found = part.new_zeros(len(wanted), part.shape[1])
    found[own] = part[places[own]]
    before = sum(lengths_on_ranks(len(classes), classes.device, group)[: rank(group)])
    return sum_over_ranks(found, group)[before : before + len(classes)]


class _Wanted(NamedTuple):
    """Targets of all samples: classes and weights ``(G, K)``, and the first class of this rank's rows."""

    classes: Tensor
    weights: Tensor
    first: int


class _Piece(NamedTuple):
    """A piece of the table: unit rows, their lengths, the index of the first, and the targets among them."""

    rows: Tensor
    lengths: Tensor
    start: int
    samples: Tensor
    places: Tensor
    entries: Tensor


def _pieces(table: Tensor, wanted: _Wanted) -> Iterator[_Piece]:
    own = (wanted.classes - wanted.first).flatten()
    ordered, order = own.sort()
    size = max(_LOGITS // max(len(wanted.classes), 1), 1)
    starts = list(range(0, len(table), size))
    bounds = torch.searchsorted(ordered, torch.tensor([*starts, len(table)], device=own.device)).tolist()
    for start, low, high in zip(starts, bounds, bounds[1:]):
        rows = table[start : start + size]
        lengths = rows.norm(dim=1, keepdim=True).clamp_min(1e-12)
        entries = order[low:high]
        samples = entries // wanted.classes.shape[1]
        yield _Piece(rows / lengths, lengths, start, samples, ordered[low:high] - start, entries)


class _TableCrossEntropy(torch.autograd.Function):
    """Losses of all samples of all ranks, ``(G,)``."""

    @staticmethod
    def forward(
        context: Any, features: Tensor, table: Tensor, wanted: _Wanted, temperature: float, group: Any, bfloat16: bool
    ) -> Tensor:
        scaled = features / temperature
        total = features.new_full((len(features),), -torch.inf)
        found = torch.zeros_like(wanted.weights).flatten()
        for piece in _pieces(table, wanted):
            logits = _product(scaled, piece.rows.T, bfloat16)
            found[piece.entries] = logits[piece.samples, piece.places]
            total = torch.logaddexp(total, logits.logsumexp(dim=1))
        largest = max_over_ranks(total, group)
        total = largest + sum_over_ranks((total - largest).exp(), group).log()
        found = sum_over_ranks(found, group).view_as(wanted.weights)
        context.save_for_backward(features, table, total)
        context.settings = wanted, temperature, group, bfloat16
        return total - (wanted.weights * found).sum(dim=1)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, table, total = context.saved_tensors
        wanted, temperature, group, bfloat16 = context.settings
        share = sum_over_ranks(gradient, group)  # each rank's loss covers only its own samples
        scaled, back = features / temperature, torch.zeros_like(features)
        table_gradient = torch.empty_like(table) if context.needs_input_grad[1] else None
        for piece in _pieces(table, wanted):
            error = _product(scaled, piece.rows.T, bfloat16, -total[:, None]).exp_()
            error.index_put_((piece.samples, piece.places), -wanted.weights.flatten()[piece.entries], accumulate=True)
            error.mul_(share[:, None])
            back += _product(error, piece.rows, bfloat16)
            if table_gradient is None:
                continue
            rows_gradient = _product(error.T, scaled, bfloat16)
            along = (rows_gradient * piece.rows).sum(dim=1, keepdim=True)
            where = slice(piece.start, piece.start + len(piece.rows))
            torch.div(rows_gradient - along * piece.rows, piece.lengths * world_size(group), out=table_gradient[where])
        return back / temperature, table_gradient, None, None, None, None


def _product(left: Tensor, right: Tensor, bfloat16: bool, added: Tensor | None = None) -> Tensor:
    if bfloat16:
        product = (left.bfloat16() @ right.bfloat16()).to(left.dtype)
        return product if added is None else product.add_(added)
    return left @ right if added is None else torch.addmm(added.expand(-1, right.shape[1]), left, right)
