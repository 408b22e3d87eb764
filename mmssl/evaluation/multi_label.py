"""Findings in images, several of one or unknown ones: a linear probe, and the area under the ROC curve."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

UNKNOWN = -1  # a target that nobody stated


class AreaUnderCurve(NamedTuple):
    """Area under the ROC curve.

    Attributes:
        mean: Mean over the findings for which it exists, 0 to 1.
        each: Value per finding; NaN if all known targets are the same.
    """

    mean: float
    each: list[float]


def auroc(scores: Tensor, targets: Tensor) -> AreaUnderCurve:
    """Probability that an image with a finding has a higher score than one without, by finding.

    Args:
        scores: Any numbers that grow with the probability, shape ``(N, F)``.
        targets: 1 for an image with the finding, 0 without, -1 if unknown, which does not count; shape ``(N, F)``.

    Returns:
        Mean and value of each finding.

    Raises:
        ValueError: There is no finding with both kinds of images.
    """
    from sklearn.metrics import roc_auc_score

    each = []
    for own, wanted in zip(scores.T, targets.T):
        known = wanted != UNKNOWN
        both = len(wanted[known].unique()) == 2
        each.append(float(roc_auc_score(wanted[known].numpy(), own[known].numpy())) if both else float('nan'))
    finite = [value for value in each if value == value]
    if not finite:
        raise ValueError(
            'No finding has both images with it and images without: measure on more images, or on other findings.'
        )
    return AreaUnderCurve(sum(finite) / len(finite), each)


def fit_findings(
    features: Tensor, targets: Tensor, l2: float = 1e-4, max_iterations: int = 200
) -> tuple[Tensor, Tensor]:
    """Fit a logistic regression per finding by full-batch L-BFGS; unknown targets do not count.

    Minimises the mean of the cross-entropy over the known targets, plus ``l2 / 2 * |W|^2``.

    Args:
        features: About unit scale, shape ``(N, D)``.
        targets: 1, 0 or -1 (unknown), shape ``(N, F)``.
        l2: Weight of the penalty.
        max_iterations: Maximum number of steps.

    Returns:
        Weight ``(F, D)`` and bias ``(F,)``.

    Raises:
        ValueError: No target is known.
    """
    known = (targets != UNKNOWN).to(features)
    if not known.any():
        raise ValueError(
            'None of the targets is known: give images with findings that are stated as present or absent.'
        )
    weight = features.new_zeros(targets.shape[1], features.shape[1]).requires_grad_()
    bias = features.new_zeros(targets.shape[1]).requires_grad_()
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=max_iterations, line_search_fn='strong_wolfe')

    def closure() -> Tensor:
        optimizer.zero_grad()
        losses = binary_cross_entropy_with_logits(
            features @ weight.T + bias, targets.clamp_min(0).to(features), reduction='none'
        )
        loss = (losses * known).sum() / known.sum() + l2 / 2 * weight.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return weight.detach(), bias.detach()


def mean_per_group(scores: Tensor, targets: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """Average scores over the images of a group, such as a study of several images; its targets are equal.

    Args:
        scores: Shape ``(N, F)``.
        targets: Shape ``(N, F)``.
        groups: Number of the group of each image, int64, shape ``(N,)``.

    Returns:
        Mean scores and targets, one row per group, in the order of the numbers.

    Source: MURA's protocol, which ConVIRT follows.
    """
    _, places = groups.unique(return_inverse=True)
    count = int(places.max()) + 1
    sums = scores.new_zeros(count, scores.shape[1]).index_add_(0, places, scores)
    first = targets.new_zeros(count, targets.shape[1]).index_copy_(0, places, targets)
    return sums / places.bincount(minlength=count)[:, None], first
