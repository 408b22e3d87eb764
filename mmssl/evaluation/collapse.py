"""Whether a network has come to say the same of every image, or uses few directions only."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmssl.evaluation.measures import deviation, effective_rank, mean_cosine
from mmssl.functional import unit
from mmssl.models.modes import eval_mode

_LEFT = 0.3  # of the spread at the start: sound runs stayed above 0.8 of it, or rose
_DIRECTIONS = 2.5  # a sound embedding of 30 prototypes came down to 5.5, from 40 in the untrained network
_CHUNK = 4096

SAME = (
    'Different images have nearly the same {what}: a collapse. What usually helps: a lower learning rate or a longer '
    'warm-up; where a view is predicted from another, make sure that no gradient reaches the target (stop-gradient, or '
    'a teacher whose momentum is near 1) and that a predictor stands on the other side; where codes or clusters are '
    'learned, balance or centre them (more Sinkhorn iterations, a smaller epsilon, a minimum cluster size); where '
    'images are contrasted, more negatives or a lower temperature; a weaker weight decay.'
)
FEW = (
    'The {what} use few directions only: a collapse of dimensions. What usually helps: stronger augmentation, so that '
    'more must be told apart; a larger batch or more negatives; a wider or deeper neck with batch norm, so that '
    'the loss does not press on the features themselves; a lower learning rate; a weaker weight decay.'
)


@torch.no_grad()
def project_features(model: nn.Module, features: Tensor) -> Tensor | None:
    """What a method's neck makes of features, or None where it has none for them.

    Args:
        model: A :class:`~mmssl.models.BaseAlgorithm`; runs in eval mode.
        features: What the backbone gives, shape ``(N, D)``.

    Returns:
        float32 on the CPU, shape ``(N, E)``.
    """
    device = next(model.parameters()).device
    with eval_mode(model):
        parts = [model.project(part.to(device)) for part in features.split(_CHUNK)]
    return None if parts[0] is None else torch.cat([part.float().cpu() for part in parts])


def collapse_measures(features: Tensor) -> dict[str, float]:
    """How far the features of different images lie apart.

    Args:
        features: Shape ``(N, D)`` with at least 2 rows.

    Returns:
        ``deviation`` and ``mean_cosine`` as in :mod:`mmssl.evaluation.measures`; ``effective_rank`` of the unit
        features less their mean: of the directions in which images differ. RankMe itself also counts the one that
        all share, which drowns the others in a young network.
    """
    rows = unit(features.double())
    return {
        'deviation': deviation(features),
        'effective_rank': effective_rank(rows - rows.mean(dim=0)),
        'mean_cosine': mean_cosine(features),
    }


def collapse_warning(now: Mapping[str, float], start: Mapping[str, float], what: str) -> str | None:
    """A warning in words where features have collapsed.

    Untrained networks differ: after a ReLU, all cosines are near 0.9 and the deviation is below 0.3. So both are held
    against those of the same network at the start; of two images, ``1 - cosine`` is half their squared distance. The
    effective rank is not: it falls in sound runs too, where a method draws images together.

    Args:
        now: From :func:`collapse_measures`.
        start: Of the untrained network, on the same images.
        what: What was measured, as the warning calls it.

    Returns:
        Sentences with figures and remedies; None where all is well.
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
