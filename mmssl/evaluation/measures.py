"""Measures of a representation that need no labels.

None of them is an accuracy. Read them together, and compare them with those of the untrained network: a network that
maps every image to the same point has a perfect alignment.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mmssl.evaluation.similarity import grid_cosines, grid_rows


@torch.no_grad()
def retrieval_of_other_view(first: Tensor, second: Tensor, chunk: int = 4096) -> float:
    """Percent of first views whose nearest second view (by cosine) belongs to the same image.

    ``100 / N * sum_i [z2_i is nearest to z1_i]``; among ``m`` equally near views the right one counts ``1 / m``.

    Args:
        first: One view of every image, shape ``(N, D)``.
        second: Another view of the same images in the same order, shape ``(N, D)``.
        chunk: Rows compared at once; never changes the result.

    Returns:
        0 to 100. A collapsed network gives ``100 / N``, the same as a random guess.
    """
    others, found = grid_rows(second), 0.0
    for place, part in enumerate(grid_rows(first).split(chunk)):
        cosines = grid_cosines(part, others)
        own = cosines.diagonal(offset=place * chunk)[:, None]
        unbeaten = (cosines > own).sum(dim=1) == 0
        found += float((unbeaten / (cosines == own).sum(dim=1)).sum())
    return 100 * found / len(first)


@torch.no_grad()
def effective_rank(features: Tensor) -> float:
    """Number of directions the features use: exponential of the entropy of their singular values (RankMe).

    ``exp(-sum_k p_k log p_k)`` with ``p_k = s_k / sum_j s_j``, where ``s`` are the singular values of the matrix.

    Args:
        features: Output of the network, neither centred nor normalised, shape ``(N, D)``.

    Returns:
        1 to ``min(N, D)``. A collapsed network gives 1 (0 if all features are zero).

    Source: RankMe, eq. 1 (Garrido et al., ICML 2023).
    """
    singular_values = torch.linalg.svdvals(features.double())
    total = singular_values.sum()
    if total == 0:
        return 0.0
    return math.exp(torch.special.entr(singular_values / total).sum())


@torch.no_grad()
def alignment(first: Tensor, second: Tensor) -> float:
    """Mean squared distance between the unit features of two views of an image: ``mean_i |z1_i - z2_i|^2``.

    Args:
        first: One view of every image, shape ``(N, D)``.
        second: Another view of the same images in the same order, shape ``(N, D)``.

    Returns:
        0 to 4; smaller is closer. A collapsed network gives 0, the best value: read it with :func:`uniformity`.

    Source: section 4.1 of Wang and Isola, ICML 2020, with alpha = 2.
    """
    difference = normalize(first.double(), dim=1) - normalize(second.double(), dim=1)
    return difference.square().sum(dim=1).mean().item()


@torch.no_grad()
def uniformity(features: Tensor, chunk: int = 4096) -> float:
    """How evenly unit features spread over the sphere: ``log mean_{i != j} exp(-2 |z_i - z_j|^2)``.

    Args:
        features: Shape ``(N, D)`` with at least 2 rows.
        chunk: Rows compared at once.

    Returns:
        About -4 (even) to 0. A collapsed network gives 0.

    Source: section 4.1 of Wang and Isola, ICML 2020, with t = 2.
    """
    rows = normalize(features.double(), dim=1)
    total = sum(torch.exp(4 * (part @ rows.T) - 4).sum().item() for part in rows.split(chunk))
    itself = torch.exp(4 * rows.square().sum(dim=1) - 4).sum().item()
    return math.log((total - itself) / (len(rows) * (len(rows) - 1)))


@torch.no_grad()
def deviation(features: Tensor) -> float:
    """Mean standard deviation of a dimension of the unit features, times ``sqrt(D)``.

    ``sqrt(D) * mean_d std_i(z_id)``.

    Args:
        features: Shape ``(N, D)``.

    Returns:
        0 to 1; 1 if the features spread evenly. A collapsed network gives 0.

    Source: section 4.1 of SimSiam (Chen and He, CVPR 2021), where a healthy run stays near ``1 / sqrt(D)`` unscaled.
    """
    rows = normalize(features.double(), dim=1)
    return math.sqrt(rows.shape[1]) * rows.std(dim=0, correction=0).mean().item()


@torch.no_grad()
def mean_cosine(features: Tensor) -> float:
    """Mean cosine of two different images: ``(|sum_i z_i|^2 - N) / (N (N - 1))`` with unit ``z``.

    Args:
        features: Shape ``(N, D)`` with at least 2 rows.

    Returns:
        -1 to 1; near 0 if the features spread evenly. A collapsed network gives 1.
    """
    rows = normalize(features.double(), dim=1)
    together = rows.sum(dim=0).square().sum() - rows.square().sum()
    return together.item() / (len(rows) * (len(rows) - 1))
