"""Contrast within domains, and its mixture over domains."""

import torch
from torch import Tensor

from mmssl.functional.precision import in_float32


@in_float32
def domain_log_posteriors(
    query: Tensor, positive: Tensor, negatives: Tensor, usable: Tensor, temperature: float
) -> Tensor:
    """Log-probability of each query's positive among the negatives of each domain.

    Args:
        query: Unit rows, shape ``(B, C)``.
        positive: Unit rows, the match of each query, shape ``(B, C)``.
        negatives: Unit rows of every domain, shape ``(D, K, C)``.
        usable: Which negatives count, boolean, shape ``(B, D, K)``, or ``(1, D, K)`` for all queries alike.
        temperature: Divides the cosines; positive.

    Returns:
        ``log p(positive | domain d)`` for every query and domain, shape ``(B, D)``; 0 for a domain without negatives.

    Source: MoCo, eq. 1 (He et al., CVPR 2020), for each domain by itself.
    """
    own = (query * positive).sum(dim=1) / temperature  # (B,)
    logits = (query @ negatives.flatten(0, 1).T / temperature).unflatten(1, negatives.shape[:2])  # (B, D, K)
    others = logits.masked_fill(~usable, -torch.inf).logsumexp(dim=2)  # (B, D)
    return own[:, None] - torch.logaddexp(own[:, None], others)


@in_float32
def domain_mixture(
    query: Tensor, positive: Tensor, negatives: Tensor, usable: Tensor, weights: Tensor, temperature: float
) -> Tensor:
    """InfoNCE whose probability is a mixture over domains, each with negatives of its own.

    With one weight of 1 it is InfoNCE with the negatives of that domain alone; with one domain it is MoCo's loss.

    Args:
        query: Unit rows, shape ``(B, C)``.
        positive: Unit rows, the match of each query, shape ``(B, C)``.
        negatives: Unit rows of every domain, shape ``(D, K, C)``.
        usable: Which negatives count, boolean, shape ``(B, D, K)`` or ``(1, D, K)``.
        weights: Weights ``w_d`` of the domains for each query, at least 0, adding up to 1, shape ``(B, D)``.
        temperature: Divides the cosines; positive.

    Returns:
        Scalar: mean over the batch of ``-log sum_d w_d p(positive | domain d)``.

    Source: our own formula, after what is remembered of DARLING (Zhang et al., CVPR 2022); not compared with the paper.
    """
    log_posteriors = domain_log_posteriors(query, positive, negatives, usable, temperature)
    return -(weights.log() + log_posteriors).logsumexp(dim=1).mean()
