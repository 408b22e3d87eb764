"""Cosines that come out the same however the work is cut up.

The sum in a matrix product depends, in its last bits, on how the product is tiled: on the chunk, the number of threads,
the device. Neighbours that nearly tie then change places. Here unit rows are rounded to a grid (2**-26) that is finer
than float32, and coarse enough for every partial sum of whole numbers to fit into a float64: the product is exact.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

_STEPS = 2.0**26  # (2**26)**2 = 2**52 < 2**53, where float64 stops counting in whole numbers


def grid_rows(rows: Tensor) -> Tensor:
    """Unit rows as whole numbers of grid steps.

    Args:
        rows: Features, shape ``(N, D)``; need not be normalised. A row of zeros stays zero.

    Returns:
        float64, shape ``(N, D)``, whole numbers between ``-2**26`` and ``2**26``.
    """
    return normalize(rows.double(), dim=1).mul_(_STEPS).round_()


def float32_rows(rows: Tensor) -> Tensor:
    """Unit rows on the grid, each entry rounded to float32: shape ``(N, D)`` to ``(N, D)``."""
    return grid_rows(rows).mul_(1 / _STEPS).float()


def grid_cosines(rows: Tensor, others: Tensor) -> Tensor:
    """Cosines of all pairs, exact on the grid, so equal bit for bit whatever the number of rows.

    Args:
        rows: From :func:`grid_rows`, shape ``(..., N, D)``.
        others: From :func:`grid_rows`, shape ``(..., M, D)``.

    Returns:
        float64 in ``[-1, 1]`` (up to the grid's rounding, ``1e-8``), shape ``(..., N, M)``.
    """
    return (rows @ others.mT).mul_(_STEPS**-2)


def nearest(similarity: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` largest entries of each row, largest first; among equals the one further left.

    Args:
        similarity: Shape ``(N, M)``.
        k: Between 1 and ``M``.

    Returns:
        Values and columns, both ``(N, k)``.
    """
    values, columns = similarity.topk(min(k + 1, similarity.shape[1]))
    tied = values[:, k - 1] == values[:, -1] if values.shape[1] > k else values.new_zeros(len(values), dtype=torch.bool)
    columns = columns[:, :k].sort(dim=1).values
    if tied.any():  # topk took any of the equals at the edge
        columns[tied] = _leftmost(similarity[tied], values[tied, k - 1 : k], k)
    values, order = similarity.gather(1, columns).sort(dim=1, descending=True, stable=True)
    return values, columns.gather(1, order)


def _leftmost(similarity: Tensor, threshold: Tensor, k: int) -> Tensor:
    """Columns, in order, of everything above the threshold and of as many equals, from the left, as make ``k``."""
    above, equal = similarity > threshold, similarity == threshold
    wanted = k - above.sum(dim=1, keepdim=True)
    taken = above | (equal & (equal.cumsum(dim=1) <= wanted))
    return taken.nonzero()[:, 1].view(-1, k)
