"""Cosines that do not depend on how the work is divided.

The last bits of a matrix product depend on its tiling: on the chunk size, the number of threads, and the device.
Neighbours with nearly equal cosines then swap places. Here, unit rows are rounded to a grid (2**-26) that is finer than
float32, and coarse enough for every partial sum of whole numbers to fit into a float64: the product is exact.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

_STEPS = 2.0**26  # (2**26)**2 = 2**52 < 2**53, where float64 stops counting in whole numbers


def grid_rows(rows: Tensor) -> Tensor:
    """Normalise rows, and express them in whole numbers of grid steps.

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
    """Cosines of all pairs, exact on the grid, so bitwise equal for any number of rows.

    Args:
        rows: From :func:`grid_rows`, shape ``(..., N, D)``.
        others: From :func:`grid_rows`, shape ``(..., M, D)``.

    Returns:
        float64 in ``[-1, 1]`` (up to the grid's rounding, ``1e-8``), shape ``(..., N, M)``.
    """
    return (rows @ others.mT).mul_(_STEPS**-2)


def nearest(similarity: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` largest entries of each row, largest first; of equal entries the leftmost first.

    Args:
        similarity: Shape ``(N, M)``.
        k: Between 1 and ``M``.

    Returns:
        Values and columns, each ``(N, k)``.
    """
    values, columns = similarity.topk(min(k + 1, similarity.shape[1]))
    tied = values[:, k - 1] == values[:, -1] if values.shape[1] > k else values.new_zeros(len(values), dtype=torch.bool)
    columns = columns[:, :k].sort(dim=1).values
    if tied.any():  # topk takes arbitrary ones of the entries equal to the k-th
        columns[tied] = _leftmost(similarity[tied], values[tied, k - 1 : k], k)
    values, order = similarity.gather(1, columns).sort(dim=1, descending=True, stable=True)
    return values, columns.gather(1, order)


def _leftmost(similarity: Tensor, threshold: Tensor, k: int) -> Tensor:
    """Columns, in order, of all entries above the threshold, filled up to ``k`` with equal ones from the left."""
    above, equal = similarity > threshold, similarity == threshold
    wanted = k - above.sum(dim=1, keepdim=True)
    taken = above | (equal & (equal.cumsum(dim=1) <= wanted))
    return taken.nonzero()[:, 1].view(-1, k)
