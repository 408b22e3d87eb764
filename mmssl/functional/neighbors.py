"""Nearest neighbours in a bank of features, and neighbours of neighbours."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

_COLUMNS = 1024  # rows per query that are copied at a time
_ANCHORS = 32  # queries at a time: their scores with all rows are in memory together


class BankScores(NamedTuple):
    """Inner products of queries with rows of a bank.

    Attributes:
        nearest: Products with the nearest rows, descending, shape ``(B, count)``.
        rows: Indices of the nearest rows, int64, shape ``(B, count)``.
        others: Products with the requested rows, shape ``(B, P)``.
    """

    nearest: Tensor
    rows: Tensor
    others: Tensor


class ChosenScores(NamedTuple):
    """Inner products of queries with rows that were chosen by these products.

    Attributes:
        scores: Shape ``(B, K)``.
        rows: Indices of the rows, int64, shape ``(B, K)``.
    """

    scores: Tensor
    rows: Tensor


def propagate_neighbors(neighbors: Tensor, indices: Tensor, steps: int) -> Tensor:
    """List the samples that are reached within ``steps`` in a neighbour graph, level by level.

    A sample that is reached twice is listed twice, and a sample may be reached from itself.

    Args:
        neighbors: Indices of each sample's neighbours, int64, shape ``(N, k)``.
        indices: The samples to start from, int64, shape ``(B,)``.
        steps: Levels; at least 1.

    Returns:
        Sample indices, int64, shape ``(B, k + k^2 + ... + k^steps)``.

    Source: InvP, section 3.1 (Wang et al., NeurIPS 2020), in the order of WangFeng18/InvariancePropagation.
    """
    levels = [neighbors[indices]]
    for _ in range(steps - 1):
        levels.append(neighbors[levels[-1]].flatten(1))
    return torch.cat(levels, dim=1)


def reached_set(reached: Tensor, indices: Tensor) -> Tensor:
    """Mask that keeps each reached sample once and drops the start sample.

    Args:
        reached: From :func:`propagate_neighbors`, shape ``(B, W)``.
        indices: The start samples, shape ``(B,)``.

    Returns:
        bool, shape ``(B, W)``.
    """
    ordered, order = reached.sort(dim=1, stable=True)
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    return torch.zeros_like(first).scatter(1, order, first) & (reached != indices[:, None])


def without_self(rows: Tensor, indices: Tensor) -> Tensor:
    """Find the nearest other rows: if the sample itself is among the first ``k``, the last row replaces it.

    Args:
        rows: The ``k + 1`` nearest rows of each sample, nearest first, int64, shape ``(B, k + 1)``.
        indices: Sample indices, shape ``(B,)``.

    Returns:
        int64, shape ``(B, k)``.
    """
    return torch.where(rows == indices[:, None], rows[:, -1:], rows)[:, :-1]


def contains(rows: Tensor, values: Tensor) -> Tensor:
    """Whether each value occurs in the row with the same index.

    Args:
        rows: int64, shape ``(B, W)``.
        values: int64, shape ``(B, M)``.

    Returns:
        bool, shape ``(B, M)``.
    """
    ordered = rows.sort(dim=1).values
    places = torch.searchsorted(ordered, values).clamp_max(rows.shape[1] - 1)
    return ordered.gather(1, places) == values


def bank_scores(query: Tensor, bank: Tensor, count: int, also: Tensor) -> BankScores:
    """Inner products with the nearest rows of a bank and with given rows.

    Scores with the whole bank are held for 32 queries at a time, and only until the nearest are chosen; gradients flow
    to the query through the returned scores. With a bfloat16 bank the rows are chosen by rounded scores, and the scores
    of the chosen rows are computed again in float32.

    Args:
        query: Shape ``(B, D)``.
        bank: Rows without gradient, float32, float64 or bfloat16, shape ``(N, D)``.
        count: Number of nearest rows, at most N.
        also: Indices of further rows to score, int64, shape ``(B, P)``.

    Returns:
        Scores of the nearest rows and their indices, ``(B, count)``; scores of ``also``, ``(B, P)``.
    """
    query = _wide(query)
    if not count and bank.dtype != query.dtype:  # no rows to choose: skip the rounded products
        return BankScores(query.new_empty(len(query), 0), also[:, :0], row_scores(query, bank, also))

    def choose(everything: Tensor, some: slice) -> Tensor:
        return torch.cat([everything.topk(count, dim=1).indices, also[some]], dim=1)

    scores, rows = chosen_scores(query, bank, choose)
    nearest, rows, others = scores[:, :count], rows[:, :count], scores[:, count:]
    if bank.dtype != query.dtype:
        order = nearest.argsort(dim=1, descending=True, stable=True)
        nearest, rows = nearest.gather(1, order), rows.gather(1, order)
    return BankScores(nearest, rows, others)


def chosen_scores(query: Tensor, bank: Tensor, choose: Callable[[Tensor, slice], Tensor]) -> ChosenScores:
    """Inner products with rows of a bank that are chosen by these products.

    Args:
        query: Shape ``(B, D)``; gradients flow to it.
        bank: Rows without gradient, float32, float64 or bfloat16, shape ``(N, D)``.
        choose: Takes the products of some queries with all rows, ``(b, N)``, and the slice of these queries; returns
            the indices of the chosen rows, int64, ``(b, K)``.

    Returns:
        Products and the indices of their rows, ``(B, K)`` each.
    """
    query = _wide(query)

    def chunk(some: slice) -> tuple[Tensor, Tensor]:  # a function, so that its products are freed before the next
        everything = query[some].to(bank.dtype) @ bank.T
        rows = choose(everything, some)
        exact = bank.dtype == query.dtype
        return rows, everything.gather(1, rows) if exact else _exact_scores(query[some], rows, bank)

    with torch.no_grad(), torch.autocast(query.device.type, enabled=False):
        parts = [chunk(slice(first, first + _ANCHORS)) for first in range(0, len(query), _ANCHORS)]
    rows, scores = (torch.cat(part) for part in zip(*parts))
    return ChosenScores(_Scores.apply(query, bank, rows, scores), rows)


def row_scores(query: Tensor, bank: Tensor, rows: Tensor) -> Tensor:
    """Inner products with a few given rows of a bank; gradients flow to the query.

    Args:
        query: Shape ``(B, D)``.
        bank: Rows without gradient, float32, float64 or bfloat16, shape ``(N, D)``.
        rows: Indices of the rows, int64, shape ``(B, K)``.

    Returns:
        Shape ``(B, K)``.
    """
    query = _wide(query)
    with torch.no_grad(), torch.autocast(query.device.type, enabled=False):
        scores = _exact_scores(query, rows, bank)
    return _Scores.apply(query, bank, rows, scores)


def _wide(query: Tensor) -> Tensor:
    return query.float() if query.dtype in (torch.float16, torch.bfloat16) else query


def _exact_scores(query: Tensor, rows: Tensor, bank: Tensor) -> Tensor:
    """Products with chosen rows, in the query's precision; a few columns at a time, since rows are copied."""
    columns = [torch.einsum('bd,bpd->bp', query, bank[some].to(query.dtype)) for some in rows.split(_COLUMNS, dim=1)]
    return torch.cat(columns, dim=1)


class _Scores(torch.autograd.Function):
    """Attach a gradient to scores that are already computed; backward mixes the bank's rows without copying them."""

    @staticmethod
    def forward(context: Any, query: Tensor, bank: Tensor, rows: Tensor, scores: Tensor) -> Tensor:
        context.save_for_backward(bank, rows)
        return scores

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        bank, rows = context.saved_tensors
        weights = gradient.to(bank.dtype)
        mixed = torch.nn.functional.embedding_bag(rows, bank, mode='sum', per_sample_weights=weights)
        return mixed.to(gradient.dtype), None, None, None
