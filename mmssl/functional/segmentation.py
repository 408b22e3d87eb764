"""Agreement of two segmentations of an image."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def rand_index(true: Tensor, found: Tensor, counted: Tensor | None = None) -> Tensor:
    """Adjusted Rand index: how well two segmentations agree on which pixels belong together.

    The numbers of the segments have no meaning, and the two may have different numbers of them.

    Args:
        true: Segment of each pixel, integers from 0, shape ``(B, N)``.
        found: Segment of each pixel, integers from 0, shape ``(B, N)``.
        counted: Pixels that count, bool, shape ``(B, N)``; all by default.

    Returns:
        Per image, float64, shape ``(B,)``: 1 for the same segments, about 0 for random ones. 1 as well if all
        counted pixels are one segment in both, or each is a segment of its own in both.

    Source: Hubert and Arabie, Journal of Classification, 1985.
    """
    counted = torch.ones_like(true, dtype=torch.bool) if counted is None else counted
    rows, columns = (one_hot(segments.long()).double() for segments in (true, found))
    table = rows.transpose(1, 2) @ (columns * counted[..., None])  # (B, R, C)
    together, in_rows, in_columns = (_pairs(t).sum(1) for t in (table.flatten(1), table.sum(2), table.sum(1)))
    all_pairs = _pairs(counted.sum(dim=1).double())
    expected = in_rows * in_columns / all_pairs.clamp_min(1)
    most = (in_rows + in_columns) / 2
    return torch.where(
        most == expected, 1.0, (together - expected) / (most - expected).masked_fill(most == expected, 1)
    )


def foreground_rand_index(true: Tensor, found: Tensor) -> Tensor:
    """Adjusted Rand index of the pixels that show an object: FG-ARI.

    Args:
        true: Object of each pixel, 0 for the background, shape ``(B, ...)``.
        found: Segment of each pixel, integers from 0, of the same shape.

    Returns:
        Per image, float64, shape ``(B,)``; see :func:`rand_index`.

    Source: Greff et al., ICML 2019. (jsikyoon/OCRL computes another number: there all pixels of objects are one
    found segment.)
    """
    true, found = true.flatten(1), found.flatten(1)
    return rand_index(true, found, true > 0)


def _pairs(counts: Tensor) -> Tensor:
    return counts * (counts - 1) / 2
