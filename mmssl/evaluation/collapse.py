"""Detection of collapse: all images have nearly the same features, or the features use only a few directions."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmssl.evaluation.measures import deviation, effective_rank, mean_cosine
from mmssl.functional import unit
from mmssl.models.modes import eval_mode

_LEFT = 0.3  # share of the spread at the start; healthy runs stayed above 0.8 of it, or rose
_DIRECTIONS = 2.5  # effective rank; a healthy embedding with 30 prototypes fell from 40 (untrained) to 5.5
_CHUNK = 4096

SAME = (
    'Different images have nearly the same {what}: a collapse. What usually helps: a lower learning rate or a longer '
    'warm-up; where a view is predicted from another, make sure that no gradient reaches the target (stop-gradient, or '
    'a teacher whose momentum is near 1) and that the other side has a predictor; where codes or clusters are learned, '
    'balance or centre them (more Sinkhorn iterations, a smaller epsilon, a minimum cluster size); where images are '
    'contrasted, more negatives or a lower temperature; a weaker weight decay.'
)
FEW = (
    'The {what} use only a few directions: dimensional collapse. What usually helps: stronger augmentation, so that '
    'the network must distinguish more; a larger batch or more negatives; a wider or deeper neck with batch norm, so '
    'that the loss does not act on the features directly; a lower learning rate; a weaker weight decay.'
)


@torch.no_grad()
def project_features(model: nn.Module, features: Tensor) -> Tensor | None:
    """Embed features with the method's neck; None if it has no neck for them.

    Args:
        model: A :class:`~mmssl.models.BaseAlgorithm`; runs in eval mode.
        features: Features of the backbone, shape ``(N, D)``.

    Returns:
        float32 on the CPU, shape ``(N, E)``.
    """
    device = next(model.parameters()).device
    with eval_mode(model):
        parts = [model.project(part.to(device)) for part in features.split(_CHUNK)]
    return None if parts[0] is None else torch.cat([part.float().cpu() for part in parts])


def collapse_measures(features: Tensor) -> dict[str, float]:
    """Measure how far apart the features of different images are.

    Args:
        features: Shape ``(N, D)`` with at least 2 rows.

    Returns:
        ``deviation`` and ``mean_cosine`` as in :mod:`mmssl.evaluation.measures`; ``effective_rank`` of the unit
        features minus their mean, so only directions in which images differ count. RankMe itself also counts the
        direction that all images share, which dominates early in training.
    """
    rows = unit(features.double())
    return {
        'deviation': deviation(features),
        'effective_rank': effective_rank(rows - rows.mean(dim=0)),
        'mean_cosine': mean_cosine(features),
    }


def collapse_warning(now: Mapping[str, float], start: Mapping[str, float], what: str) -> str | None:
    """Describe a collapse of the features in a warning.

    Untrained networks differ: after a ReLU, all cosines are near 0.9 and the deviation is below 0.3. Cosine and
    deviation are therefore compared with those of the same network at the start; ``1 - cosine`` is half the squared
    distance of two images. The effective rank also falls in healthy runs, where a method pulls images together, so its
    limit is fixed.

    Args:
        now: Measures from :func:`collapse_measures`.
        start: Measures of the untrained network, on the same images.
        what: Name of what was measured, for the warning.

    Returns:
        Warning with figures and remedies; None if nothing is wrong.
    """
    same = 1 - now['mean_cosine'] < _LEFT**2 * (1 - start['mean_cosine'])
    few = now['deviation'] < _LEFT * start['deviation']
    few = few or now['effective_rank'] < _DIRECTIONS < start['effective_rank'] / 2
    if not (same or few):
        return None
    figures = (
        f'Deviation {now["deviation"]:.3f} ({start["deviation"]:.3f} at the start), effective rank '
        f'{now["effective_rank"]:.1f} ({start["effective_rank"]:.1f}), mean cosine of two images '
        f'{now["mean_cosine"]:.3f} ({start["mean_cosine"]:.3f}).'
    )
    return f'{(SAME if same else FEW).format(what=what)} {figures}'
