"""Weighted k-nearest-neighbour classification of frozen features."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmssl.evaluation.classes import check_classes
from mmssl.evaluation.similarity import float32_rows, grid_cosines, grid_rows, nearest

_VOTE_STEPS = 2.0**40  # votes are whole numbers, so that a sum does not depend on its order, and ties stay ties
_SPARE = 32  # candidates beyond the k wanted
_VALUES = 2**19  # float64 values of candidates that are copied at once: they fit into the processor's cache

FELL = (
    'k-NN top-1 is {now:.1f} %, below the {start:.1f} % before the first step by more than the standard error of '
    '{error:.1f} points: the features get worse. What usually helps: a lower learning rate or a longer warm-up; milder '
    'augmentation, so that two views still show the same thing; more images or steps; for weights that were trained '
    'before, a backbone that stands still for longer (default_hooks.warmup_heads.length) or a pull toward the start '
    '(PullToStartHook).'
)


class Neighbors(NamedTuple):
    """Nearest gallery rows of each query.

    Attributes:
        cosines: float64, shape ``(M, k)``, largest first.
        rows: Rows of the gallery, int64, shape ``(M, k)``; of equal cosines the lower row comes first.
    """

    cosines: Tensor
    rows: Tensor


@torch.no_grad()
def nearest_neighbors(gallery: Tensor, query: Tensor, k: int, chunk: int = 4096) -> Neighbors:
    """Find the most similar gallery rows of every query, by cosine.

    Products in float32 choose a few more rows than ``k``, which are then compared exactly. If rounding could have
    hidden one of the nearest, according to its bound, all rows are compared exactly.

    Args:
        gallery: Shape ``(N, D)``.
        query: Shape ``(M, D)``.
        k: Between 1 and ``N``.
        chunk: Rows of either side that are compared at once; affects memory, never the result.

    Returns:
        Cosines and gallery rows, nearest first.
    """
    count = k + _SPARE
    if len(gallery) <= 2 * count or torch.get_float32_matmul_precision() != 'highest':  # the bound fails for TF32
        return _compare_all(gallery, query, k, chunk)
    least, candidates = _candidates(gallery, query, count, chunk)
    cosines, rows = _compare_some(gallery, query, candidates, k)
    unsure = cosines[:, -1] <= least.double() + rounding_bound(gallery.shape[1])
    if unsure.any():
        cosines[unsure], rows[unsure] = _compare_all(gallery, query[unsure], k, chunk)
    return Neighbors(cosines, rows)


def rounding_bound(dim: int) -> float:
    """Maximum error of the float32 product of two unit rows, for any order of summation.

    Each entry, each product and each sum is rounded to float32 once: ``(D + 2) u`` times the sum of the products'
    magnitudes, which is at most 1 (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1; u is 2**-24).

    Args:
        dim: Number of features D.
    """
    return 1.01 * (dim + 4) * 2.0**-24


def _candidates(gallery: Tensor, query: Tensor, count: int, chunk: int) -> tuple[Tensor, Tensor]:
    """Nearest rows by float32 products: the smallest product among them, ``(M,)``, and the rows, ``(M, count)``."""
    queries = float32_rows(query).split(chunk)
    found = [(part.new_empty(len(part), 0), part.new_empty(len(part), 0, dtype=torch.long)) for part in queries]
    with torch.autocast(query.device.type, enabled=False):
        for first in range(0, len(gallery), chunk):
            tile = float32_rows(gallery[first : first + chunk])
            for place, part in enumerate(queries):
                found[place] = _largest(*found[place], part @ tile.T, first, count)
    return torch.cat([products.amin(dim=1) for products, _ in found]), torch.cat([rows for _, rows in found])


def _largest(values: Tensor, rows: Tensor, products: Tensor, first: int, count: int) -> tuple[Tensor, Tensor]:
    """Merge the candidates with ``products (M, T)`` of the rows from ``first`` on; keep the ``count`` largest."""
    if values.shape[1] < count:
        more, columns = products, torch.arange(products.shape[1], device=products.device).expand_as(products)
    else:
        more, columns = _above(products, values.amin(dim=1, keepdim=True), count)
    values, rows = torch.cat([values, more], dim=1), torch.cat([rows, columns + first], dim=1)
    best = values.topk(min(count, values.shape[1]), dim=1, sorted=False)
    return best.values, rows.gather(1, best.indices)


def _above(products: Tensor, threshold: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """At most ``count`` entries per row, the largest ones above ``threshold (M, 1)``; few, so cheaper than a top-k.

    Returns:
        Products, padded with -inf, and their columns.
    """
    row, column = (products > threshold).nonzero(as_tuple=True)
    counts = row.bincount(minlength=len(products))
    width = min(int(counts.max()), count)
    place = (torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]).clamp_(max=width - 1)
    values = products.new_full((len(products), width), float('-inf'))
    columns = column.new_zeros(values.shape)
    values[row, place], columns[row, place] = products[row, column], column
    many = (counts > width).nonzero()[:, 0]  # in these rows the last column was overwritten
    values[many], columns[many] = products[many].topk(width, dim=1, sorted=False)
    return values, columns


def _compare_some(gallery: Tensor, query: Tensor, candidates: Tensor, k: int) -> Neighbors:
    """Find the nearest among the candidate rows of each query, exactly."""
    candidates = candidates.sort(dim=1).values
    # Written in place: small tensors kept between the large ones of each step would fragment the heap and let it grow.
    cosines, rows = query.new_empty((len(query), k), dtype=torch.float64), candidates.new_empty((len(query), k))
    size = max(_VALUES // (candidates.shape[1] * gallery.shape[1]), 1)
    for place in range(0, len(query), size):
        part = slice(place, place + size)
        some = candidates[part]
        others = grid_rows(gallery[some.flatten()]).view(*some.shape, -1)
        near, columns = nearest(grid_cosines(grid_rows(query[part])[:, None], others)[:, 0], k)
        cosines[part], rows[part] = near, some.gather(1, columns)
    return Neighbors(cosines, rows)


def _compare_all(gallery: Tensor, query: Tensor, k: int, chunk: int) -> Neighbors:
    """Find the nearest of all rows, exactly."""
    grid_query = grid_rows(query)
    cosines = [grid_query.new_empty((len(part), 0)) for part in grid_query.split(chunk)]
    rows = [part.long() for part in cosines]
    for first in range(0, len(gallery), chunk):
        tile = grid_rows(gallery[first : first + chunk])
        tile_rows = torch.arange(first, first + len(tile), device=tile.device)
        for place, part in enumerate(grid_query.split(chunk)):
            candidates = torch.cat([cosines[place], grid_cosines(part, tile)], dim=1)
            candidate_rows = torch.cat([rows[place], tile_rows.expand(len(part), -1)], dim=1)
            cosines[place], columns = nearest(candidates, min(k, candidates.shape[1]))
            rows[place] = candidate_rows.gather(1, columns)
    return Neighbors(torch.cat(cosines), torch.cat(rows))


def knn_predict(
    gallery: Tensor,
    gallery_labels: Tensor,
    query: Tensor,
    k: Sequence[int] = (10, 20, 100, 200),
    temperature: float = 0.07,
    chunk: int = 4096,
) -> dict[int, Tensor]:
    """Let the nearest gallery rows vote on each query's class, with weight ``exp(cosine / temperature)``.

    Args:
        gallery: Shape ``(N, D)``.
        gallery_labels: Classes from 0 upwards, shape ``(N,)``.
        query: Shape ``(M, D)``; any ``M``.
        k: Numbers of neighbours; one search serves all of them.
        temperature: Divides the cosines; positive.
        chunk: Rows compared at once; never changes the result.

    Returns:
        For each ``k`` the predicted classes, shape ``(M,)``; in a tie the lower class wins.

    Raises:
        ValueError: The gallery has fewer rows than the largest ``k``, ``k`` is empty, or a label is negative.

    Source: NPID, section 3.4 (Wu et al., CVPR 2018). Votes are whole multiples of 2**-40 times the nearest row's vote.
    """
    _check_k(k, len(gallery))
    check_classes(gallery_labels)
    cosines, rows = nearest_neighbors(gallery, query, max(k), chunk)
    weights = ((cosines - cosines[:, :1]) / temperature).exp_().mul_(_VOTE_STEPS).round_()  # (M, k)
    classes = gallery_labels[rows]
    votes = weights.new_zeros((len(query), int(gallery_labels.max()) + 1))
    predictions, counted = {}, 0
    for size in sorted(set(k)):
        votes.scatter_add_(1, classes[:, counted:size], weights[:, counted:size])
        predictions[size], counted = votes.argmax(dim=1), size
    return predictions


def knn_accuracy(
    gallery: Tensor,
    gallery_labels: Tensor,
    query: Tensor,
    query_labels: Tensor,
    k: Sequence[int] = (10, 20, 100, 200),
    temperature: float = 0.07,
    chunk: int = 4096,
) -> dict[int, float]:
    """Accuracy of :func:`knn_predict` in percent, for each ``k``.

    Args:
        gallery: Shape ``(N, D)``.
        gallery_labels: Classes from 0 upwards, shape ``(N,)``.
        query: Shape ``(M, D)``.
        query_labels: Shape ``(M,)``.
        k: Numbers of neighbours.
        temperature: Divides the cosines; positive.
        chunk: Rows compared at once; never changes the result.

    Returns:
        ``{k: percent}``.

    Raises:
        ValueError: The gallery has fewer rows than the largest ``k``, ``k`` is empty, or a label is negative.
    """
    check_classes(query_labels)
    predictions = knn_predict(gallery, gallery_labels, query, k, temperature, chunk)
    right = {size: int((predicted == query_labels).sum()) for size, predicted in predictions.items()}
    return {size: 100 * count / len(query_labels) for size, count in right.items()}


def _check_k(k: Sequence[int], available: int) -> None:
    if not k or min(k) < 1:
        raise ValueError(f'k is {tuple(k)}: name at least one number of neighbours, each 1 or more, as in k=(10, 20).')
    if max(k) > available:
        raise ValueError(
            f'k-NN with {max(k)} neighbours, but the gallery has {available} images: '
            f'set evaluation.knn.k to {available} or less.'
        )


def knn_warning(now: float, start: float, queries: int) -> str | None:
    """Warn if the k-NN accuracy has fallen below that of the start by more than the standard error.

    Args:
        now: Accuracy, in %.
        start: Accuracy before the first step, in %.
        queries: Number of images that were classified.

    Returns:
        Warning with figures and remedies; None if nothing is wrong.
    """
    share = start / 100
    error = 100 * math.sqrt(share * (1 - share) / queries)
    return FELL.format(now=now, start=start, error=error) if start - now > error else None
