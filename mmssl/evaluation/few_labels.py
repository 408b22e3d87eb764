"""What a representation is worth with few labels: draws that favour no class, and probes that are fitted to them."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mmssl.evaluation.linear import linear_probe
from mmssl.evaluation.results import Measure
from mmssl.functional import hash_seed


def per_class(labels: Tensor, share: float) -> int:
    """How many images a class make a share of the labels, the same for every class; at least one.

    Args:
        labels: Shape ``(N,)``.
        share: Above 0, at most 1.
    """
    return max(round(len(labels) * share / len(labels.unique())), 1)


def draw_per_class(labels: Tensor, count: int, seed: int) -> Tensor:
    """So many samples of every class, drawn at random without replacement.

    Args:
        labels: Shape ``(N,)``.
        count: Of each class; where a class has fewer, all of it.
        seed: Of the draw. With the same seed a smaller draw is part of a larger one.

    Returns:
        Sample numbers, ascending, int64, shape ``(M,)``.
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
    """The linear probe with a part of the labels, balanced over the classes.

    The penalty is chosen within the part: a tenth of it is held out, as :func:`~mmssl.evaluation.linear_probe` does.

    Args:
        train: Shape ``(N, D)``.
        train_labels: Classes from 0 upwards, shape ``(N,)``.
        test: Shape ``(M, D)``.
        test_labels: Shape ``(M,)``.
        shares: Of the labels.
        draws: How many independent parts of each size.
        seed: Of the draws.

    Returns:
        One measure per share; its details are the ``share``, the number of ``images``, and the accuracy of every draw
        (``draws``).
    """
    details: list[dict[str, Any]] = []
    for share in shares:
        parts = [draw_per_class(train_labels, per_class(train_labels, share), seed + draw) for draw in range(draws)]
        top1 = [linear_probe(train[part], train_labels[part], test, test_labels, seed=seed).top1 for part in parts]
        details.append({'share': share, 'images': len(parts[0]), 'draws': top1})
    counts = ', '.join(f'{entry["images"]} images at {100 * entry["share"]:g} %' for entry in details)
    protocol = (
        f'part of the labels: the same number of every class ({counts}), the linear probe on them; mean and deviation '
        f'of {draws} draws'
    )
    return [measure_of_draws(f'linear, {100 * entry["share"]:g} % of the labels', protocol, entry) for entry in details]


def measure_of_draws(name: str, protocol: str, details: Mapping[str, Any]) -> Measure:
    """Mean over some draws, with the sample's standard deviation, which is 0 for one draw.

    Args:
        name: Of the measure.
        protocol: Of the measure.
        details: Of the measure; ``draws`` holds the values.
    """
    draws = details['draws']
    deviation = statistics.stdev(draws) if len(draws) > 1 else 0.0
    return Measure(name, statistics.fmean(draws), deviation, protocol=protocol, details=details)
