"""Properties of objects, predicted from a set of slots."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mmssl.functional.precision import in_float32


class Matched(NamedTuple):
    """Objects, each with a slot of its own.

    Attributes:
        slots: Slot of each object, int64, shape ``(B, n)``.
        costs: Costs of these pairs, shape ``(B, n)``.
    """

    slots: Tensor
    costs: Tensor


@in_float32
def property_costs(predictions: Tensor, objects: Tensor, categories: Sequence[int]) -> Tensor:
    """How badly each slot predicts each object: cross-entropy of its categories, and squared error of its numbers.

    Args:
        predictions: Of each slot, scores of the categories one after the other, then numbers, shape
            ``(B, K, sum(categories) + d)``.
        objects: Of each object, its class in every category, then numbers, shape ``(B, n, len(categories) + d)``.
        categories: How many classes each category has: ``(4, 3)`` for four colours and three shapes.

    Returns:
        Sum of the cross-entropies and the mean squared error of the numbers, shape ``(B, n, K)``.
    """
    *scores, numbers = predictions.split([*categories, predictions.shape[2] - sum(categories)], dim=2)
    errors = objects[:, :, None, len(categories) :] - numbers[:, None]
    terms = [_entropies(own, objects[..., place].long()) for place, own in enumerate(scores)]
    return torch.stack([*terms, errors.square().mean(dim=3)]).sum(dim=0)


def _entropies(scores: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy of each slot's scores ``(B, K, V)`` for each object's class ``(B, n)``: ``(B, n, K)``."""
    every = scores[:, None].expand(-1, classes.shape[1], -1, -1)  # (B, n, K, V)
    wanted = classes[..., None].expand(every.shape[:3])
    return cross_entropy(every.flatten(0, 2), wanted.flatten(), reduction='none').view_as(wanted)


def match_slots(costs: Tensor) -> Matched:
    """Give each object a slot of its own, so that the sum of the costs is lowest (Hungarian method).

    Args:
        costs: Of each object with each slot, shape ``(B, n, K)`` with ``n <= K``; the result has their gradient.

    Raises:
        ValueError: There are more objects than slots.
    """
    from scipy.optimize import linear_sum_assignment

    if costs.shape[1] > costs.shape[2]:
        raise ValueError(
            f'{costs.shape[1]} objects, but {costs.shape[2]} slots: set num_slots to {costs.shape[1] + 1} or more '
            '(one for the background).'
        )
    chosen = [linear_sum_assignment(rows)[1] for rows in costs.detach().double().cpu().numpy()]
    slots = torch.stack([torch.as_tensor(row) for row in chosen]).to(costs.device)
    return Matched(slots, costs.gather(2, slots[..., None])[..., 0])


def explained_variance(true: Tensor, predicted: Tensor) -> Tensor:
    """Coefficient of determination of each column: 1 - squared error / squared deviation from the mean.

    Args:
        true: Shape ``(N, d)``.
        predicted: Shape ``(N, d)``.

    Returns:
        1 for perfect predictions, 0 for those no better than the mean, below 0 for worse ones; shape ``(d,)``.
    """
    return 1 - (true - predicted).square().sum(dim=0) / (true - true.mean(dim=0)).square().sum(dim=0)
