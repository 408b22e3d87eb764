"""Measures with few labels: class-balanced draws, and the probes fitted to them."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mmssl.evaluation.classes import check_classes
from mmssl.evaluation.linear import linear_probe
from mmssl.evaluation.results import Measure
from mmssl.functional import hash_seed


def per_class(labels: Tensor, share: float) -> int:
    """Number of images per class for a share of the labels; at least one.

    Args:
        labels: Shape ``(N,)``.
        share: Share of the labels; above 0, at most 1.
    """
    return max(round(len(labels) * share / len(labels.unique())), 1)


def draw_per_class(labels: Tensor, count: int, seed: int) -> Tensor:
    """Draw ``count`` images of every class at random without replacement.

    Args:
        labels: Shape ``(N,)``.
        count: Images per class; a class that has fewer gives all of them.
        seed: Seed of the draw. With the same seed, a smaller draw is part of a larger one.

    Returns:
        Indices into ``labels``, ascending, int64, shape ``(M,)``.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(hash_seed(seed))).to(labels.device)
    drawn = [order[labels[order] == label][:count] for label in labels.unique()]
    return torch.cat(drawn).sort().values


def few_labels_probe(
    train: Tensor,
    train_labels: Tensor,
    test: Tensor,
    test_labels: Tensor,
    shares: Sequence[float] = (0.01, 0.1),
    draws: int = 3,
    seed: int = 0,
) -> list[Measure]:
    """Fit the linear probe to a part of the labels, balanced over the classes.

    The penalty is chosen within the part: :func:`~mmssl.evaluation.linear_probe` holds out a tenth of it.

    Args:
        train: Shape ``(N, D)``.
        train_labels: Classes from 0 upwards, shape ``(N,)``.
        test: Shape ``(M, D)``.
        test_labels: Shape ``(M,)``.
        shares: Shares of the labels.
        draws: Number of independent parts per share.
        seed: Seed of the draws.

    Returns:
        One measure per share; its details are the ``share``, the number of ``images``, and the accuracy of every draw
        (``draws``).

    Raises:
        ValueError: A label is negative.
    """
    check_classes(train_labels, test_labels)
    details: list[dict[str, Any]] = []
    for share in shares:
        parts = [draw_per_class(train_labels, per_class(train_labels, share), seed + draw) for draw in range(draws)]
        top1 = [linear_probe(train[part], train_labels[part], test, test_labels, seed=seed).top1 for part in parts]
        details.append({'share': share, 'images': len(parts[0]), 'draws': top1})
    counts = ', '.join(f'{entry["images"]} images at {100 * entry["share"]:g} %' for entry in details)
    protocol = (
        f'part of the labels: the linear probe on the same number of images per class ({counts}); mean and deviation '
        f'of {draws} draws'
    )
    return [measure_of_draws(f'linear, {100 * entry["share"]:g} % of the labels', protocol, entry) for entry in details]


def measure_of_draws(name: str, protocol: str, details: Mapping[str, Any]) -> Measure:
    """Mean over several draws, with the sample standard deviation, which is 0 for one draw.

    Args:
        name: Name of the measure.
        protocol: Protocol of the measure.
        details: Details of the measure; ``draws`` holds the values.
    """
    draws = details['draws']
    deviation = statistics.stdev(draws) if len(draws) > 1 else 0.0
    return Measure(name, statistics.fmean(draws), deviation, protocol=protocol, details=details)
