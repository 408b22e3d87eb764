"""Whether two quantities rise together."""

import torch
from torch import Tensor


def spearman(first: Tensor, second: Tensor) -> float:
    """Spearman's rank correlation: Pearson's of the ranks, where equal values share the mean of their ranks.

    Args:
        first: Numbers, shape ``(N,)``.
        second: Numbers, shape ``(N,)``.

    Returns:
        -1 to 1; 0 if all numbers of a side are equal.
    """
    ranks = torch.stack([_ranks(values) for values in (first, second)])
    if bool((ranks == ranks[:, :1]).all(dim=1).any()):
        return 0.0
    return float(torch.corrcoef(ranks)[0, 1])


def _ranks(values: Tensor) -> Tensor:
    _, places, counts = values.unique(return_inverse=True, return_counts=True)
    return (counts.cumsum(0) - (counts - 1) / 2).double()[places]
