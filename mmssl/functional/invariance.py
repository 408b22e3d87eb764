"""InvP's losses: separate a sample from its background, and pull it towards neighbours of its neighbours."""

import torch
from torch import Tensor

from mmssl.functional.precision import in_float32

_LARGEST = 1 - 1e-6  # upper bound of the own row's share, so that some background is left
_SMALLEST = 1e-7  # added to probabilities by the released code; it caps the loss at 16.1


@in_float32
def instance_loss(own: Tensor, nearest: Tensor) -> Tensor:
    """Instance loss of the released code: negative log of a sample's share among its nearest rows.

    Args:
        own: Logit of each sample with its own row, shape ``(B,)``.
        nearest: Logits of its nearest rows, shape ``(B, M)``.

    Returns:
        Scalar: mean over the batch.

    Source: WangFeng18/InvariancePropagation, ``objective.py``.
    """
    return -((own - nearest.logsumexp(dim=1)).exp() + _SMALLEST).log().mean()


@in_float32
def propagation_loss(own: Tensor, nearest: Tensor, positives: Tensor) -> Tensor:
    """Propagation loss of the released code: negative log ratio of the positives to the nearest rows but the own one.

    Args:
        own: Logit of each sample with its own row, shape ``(B,)``.
        nearest: Logits of its nearest rows, shape ``(B, M)``.
        positives: Logits of its positives, shape ``(B, P)``.

    Returns:
        Scalar: mean over the batch.

    Source: WangFeng18/InvariancePropagation, ``objective.py``.
    """
    background = nearest.logsumexp(dim=1)
    background = background + torch.log1p(-(own - background).exp().clamp_max(_LARGEST))
    return -((positives.logsumexp(dim=1) - background).exp() + _SMALLEST).log().mean()


@in_float32
def instance_loss_of_the_paper(own: Tensor, nearest: Tensor, is_own: Tensor) -> Tensor:
    """Instance loss of the paper: negative log of a sample's share among its nearest rows and itself.

    Args:
        own: Logit of each sample with its own row, shape ``(B,)``.
        nearest: Logits of its nearest rows, shape ``(B, M)``.
        is_own: Whether each is its own row, bool, shape ``(B, M)``.

    Returns:
        Scalar: mean over the batch.

    Source: InvP, eq. 3 (Wang et al., NeurIPS 2020).
    """
    others = nearest.masked_fill(is_own, -torch.inf)
    return (torch.logaddexp(own, others.logsumexp(dim=1)) - own).mean()


@in_float32
def propagation_loss_of_the_paper(
    nearest: Tensor, is_reached: Tensor, reached: Tensor, keep: Tensor, num_positives: int
) -> Tensor:
    """Propagation loss of the paper: negative log of the hard positives' share among themselves and the negatives.

    The hard positives are the least similar of the reached samples; the negatives are near rows that are not reached.

    Args:
        nearest: Logits of each sample's nearest rows, shape ``(B, M)``.
        is_reached: Whether each is reached, bool, shape ``(B, M)``.
        reached: Logits of the reached samples, shape ``(B, W)``.
        keep: Which of those count, from :func:`~mmssl.functional.reached_set`, shape ``(B, W)``.
        num_positives: How many of the least similar are positives; all if fewer are reached.

    Returns:
        Scalar: mean over the batch; a sample that reaches no other counts as 0.

    Source: InvP, eq. 4 to 6 (Wang et al., NeurIPS 2020).
    """
    candidates = reached.masked_fill(~keep, torch.inf)
    hard = candidates.topk(min(num_positives, reached.shape[1]), dim=1, largest=False).values
    positives = hard.masked_fill(hard == torch.inf, -torch.inf)
    some = keep.any(dim=1)
    positives = torch.where(some[:, None], positives, torch.zeros_like(positives)).logsumexp(dim=1)
    negatives = nearest.masked_fill(is_reached, -torch.inf).logsumexp(dim=1)
    return torch.where(some, torch.logaddexp(positives, negatives) - positives, 0.0).mean()
