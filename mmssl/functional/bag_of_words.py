"""Bags of visual words: which words of a vocabulary an image contains, and how well they are predicted."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, kl_div, log_softmax

from mmssl.functional.precision import in_float32

_CHUNK = 1 << 24  # distances turned into codes at a time


@in_float32
def word_distances(maps: Tensor, words: Tensor) -> Tensor:
    """Squared distances between the places of maps and the words.

    Args:
        maps: Shape ``(B, C, H, W)``.
        words: Shape ``(V, C)``.

    Returns:
        Shape ``(B, H * W, V)``.

    Source: OBoW, section 3.2 (Gidaris et al., CVPR 2021).
    """
    places = maps.flatten(2).transpose(1, 2)
    lengths = places.square().sum(dim=2, keepdim=True) + words.square().sum(dim=1)
    return lengths - 2 * places @ words.T


@in_float32
def bag_of_words(distances: Tensor, sharpness: Tensor | None, pooling: Literal['max', 'mean'] = 'max') -> Tensor:
    """Share of each word in each image: codes of all places, pooled and divided by their sum.

    Args:
        distances: From :func:`word_distances`, shape ``(B, L, V)``.
        sharpness: Factor of the negative distances before the softmax over words; None for the nearest word alone.
        pooling: How the codes of the places are joined.

    Returns:
        Shape ``(B, V)``; each row sums to 1.

    Source: OBoW, eq. 1 and 2.
    """
    size = max(_CHUNK // distances[0].numel(), 1)
    pooled = torch.cat([_pooled(word_codes(part, sharpness), pooling) for part in distances.split(size)])
    return pooled / pooled.sum(dim=1, keepdim=True)


def word_codes(distances: Tensor, sharpness: Tensor | None) -> Tensor:
    """Soft or hard assignment of places to words: ``(B, L, V)`` to ``(B, L, V)``, see :func:`bag_of_words`."""
    if sharpness is None:
        return torch.zeros_like(distances).scatter_(2, distances.argmin(dim=2, keepdim=True), 1.0)
    return torch.softmax(-sharpness * distances, dim=2)


def _pooled(codes: Tensor, pooling: str) -> Tensor:
    return codes.amax(dim=1) if pooling == 'max' else codes.mean(dim=1)


def local_averages(maps: Tensor, places: Tensor) -> Tensor:
    """Mean of the 3 x 3 pixels around one place of each map.

    Args:
        maps: Shape ``(B, C, H, W)``, sides of 3 or more.
        places: Number of the place of each map, from 0, row by row, among the ``(H - 2) * (W - 2)`` that have all
            neighbours; int64, shape ``(B,)``.

    Returns:
        Shape ``(B, C)``.

    Source: valeoai/obow, ``bow_extractor.py``.
    """
    averages = avg_pool2d(maps, 3, stride=1).flatten(2)
    return averages.gather(2, places[:, None, None].expand(-1, averages.shape[1], 1))[..., 0]


@in_float32
def bag_divergence(logits: Sequence[Tensor], bags: Sequence[Tensor]) -> Tensor:
    """Kullback-Leibler divergence of predicted bags of words from the true ones, averaged over levels and images.

    Args:
        logits: Scores of the words for every level, ``(B, V)`` each.
        bags: Shares of the words for every level, ``(B, V)`` each.

    Returns:
        Scalar.

    Source: OBoW, eq. 3.
    """
    parts = [
        kl_div(log_softmax(part, dim=1), bag, reduction='batchmean') for part, bag in zip(logits, bags, strict=True)
    ]
    return torch.stack(parts).mean()


@in_float32
def perplexity(shares: Tensor) -> Tensor:
    """Effective number of words: ``exp`` of the entropy of shares that sum to 1, ``(..., V)`` to ``(...)``."""
    return torch.special.entr(shares).sum(dim=-1).exp()
