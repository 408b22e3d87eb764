"""InvP's losses: tell a sample from its background, and draw it to what is reached over its neighbours."""

import torch
from torch import Tensor

from mmssl.functional.precision import in_float32

_LARGEST = 1 - 1e-6  # share of the own row: nothing would be left of the background
_SMALLEST = 1e-7  # added to probabilities by the released code; it caps the loss at 16.1


@in_float32
def instance_loss(own: Tensor, nearest: Tensor) -> Tensor:
    """Minus the logarithm of a sample's share among its nearest rows, as in the released code.

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
    """Minus the logarithm of what the positives are to the nearest rows without the own one, as in the released code.

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
    """Minus the logarithm of a sample's share among its nearest rows and itself.

    Args:
        own: Logit of each sample with its own row, shape ``(B,)``.
        nearest: Logits of its nearest rows, shape ``(B, M)``.
        is_own: Which of them is its own row, bool, shape ``(B, M)``.

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
    """Minus the logarithm of the share of the least similar reached samples, beside the near ones not reached.

    Args:
        nearest: Logits of each sample's nearest rows, shape ``(B, M)``.
        is_reached: Which of them are reached, bool, shape ``(B, M)``.
        reached: Logits of the reached samples, shape ``(B, W)``.
        keep: Which of them count, from :func:`~mmssl.functional.reached_set`, shape ``(B, W)``.
        num_positives: How many of the least similar are positives; all where fewer are reached.

    Returns:
        Scalar: mean over the batch; a sample that reaches none adds 0.

    Source: InvP, eq. 4 to 6 (Wang et al., NeurIPS 2020).
    """
    candidates = reached.masked_fill(~keep, torch.inf)
    hard = candidates.topk(min(num_positives, reached.shape[1]), dim=1, largest=False).values
    positives = hard.masked_fill(hard == torch.inf, -torch.inf)
    some = keep.any(dim=1)
    positives = torch.where(some[:, None], positives, torch.zeros_like(positives)).logsumexp(dim=1)
    negatives = nearest.masked_fill(is_reached, -torch.inf).logsumexp(dim=1)
    return torch.where(some, torch.logaddexp(positives, negatives) - positives, 0.0).mean()
