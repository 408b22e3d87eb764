"""Retrieval of videos of the same class: the measure of papers on video representations."""

from collections.abc import Sequence

import torch

from mmssl.evaluation.knn import nearest_neighbors
from mmssl.evaluation.measurement import LabelledSets
from mmssl.evaluation.results import Measure


@torch.no_grad()
def retrieval_recall(sets: LabelledSets, k: Sequence[int] = (1, 5, 10, 20, 50)) -> list[Measure]:
    """Share of test videos with a training video of their class among the nearest ones, by cosine.

    Args:
        sets: Features and labels; test videos are the queries.
        k: Numbers of neighbours; those above the number of training videos are left out.

    Returns:
        One measure per number of neighbours, in per cent.

    Raises:
        ValueError: There are fewer training videos than the smallest number of neighbours.
    """
    wanted = [number for number in sorted(k) if number <= len(sets.train)]
    if not wanted:
        raise ValueError(f'{len(sets.train)} videos to find, but k={min(k)}: give a k of {len(sets.train)} or less.')
    found = nearest_neighbors(sets.train, sets.test, wanted[-1]).rows
    hits = sets.train_labels[found] == sets.test_labels[:, None]
    protocol = f'retrieval: cosine, the same class among the k nearest of {len(sets.train)} training videos'
    return [
        Measure(
            f'recall at {number}',
            100 * hits[:, :number].any(dim=1).double().mean().item(),
            protocol=protocol,
            digits=2,
            details={'neighbors': number},
        )
        for number in wanted
    ]
