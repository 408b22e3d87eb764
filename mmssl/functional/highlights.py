"""Highlights of a video: activation over time, its k-point contrast, masked sequences, and how a curve is measured.

The formulas are our reconstruction of RASL (Li, Sun and Xiao, IEEE TIP 2024), written from the abstract alone.
"""

import torch
from torch import Tensor

from mmssl.functional.precision import in_float32

_EPS = 1e-6  # added to the deviation of an activation over time


@in_float32
def activation(latents: Tensor) -> Tensor:
    """How strongly each step of a sequence activates its latents, standardised over the sequence.

    Args:
        latents: Not negative, shape ``(B, T, D)``.

    Returns:
        Mean 0 and population deviation 1 over the steps (all 0 if the steps are alike), shape ``(B, T)``.

    Source: our reconstruction of RASL.
    """
    return standardised_over_time(latents.mean(dim=2))


@in_float32
def standardised_over_time(scores: Tensor) -> Tensor:
    """Remove the mean over the last axis, and divide by the population deviation: ``(..., T)`` to ``(..., T)``."""
    centred = scores - scores.mean(dim=-1, keepdim=True)
    return centred / (scores.std(dim=-1, keepdim=True, correction=0) + _EPS)


@in_float32
def masked_sequence_loss(predictions: Tensor, sequences: Tensor, masked: Tensor, visible_weight: float) -> Tensor:
    """Squared error of a reconstructed sequence; masked steps weigh 1, the others less.

    Args:
        predictions: Shape ``(B, T, D)``.
        sequences: What was to be reconstructed, shape ``(B, T, D)``.
        masked: Which steps the encoder did not see, bool, shape ``(B, T)``.
        visible_weight: Weight of the steps that it saw, from 0.

    Returns:
        Scalar: sum over steps and channels, mean over the batch.

    Source: our reconstruction of RASL (feature-vector sequences).
    """
    weights = masked.to(predictions.dtype) + visible_weight * (~masked).to(predictions.dtype)
    return ((predictions - sequences).square().sum(dim=2) * weights).sum(dim=1).mean()


@in_float32
def k_point_loss(scores: Tensor, k: int, temperature: float) -> Tensor:
    """Let the k highest points of each curve stand out from all its points.

    Args:
        scores: Activation over time, shape ``(B, T)``.
        k: Number of points, from 1 to ``T``; with ``T`` the loss is 0.
        temperature: Divides the scores; positive.

    Returns:
        Scalar, from 0: mean over the batch of ``-log`` of the share that the k points have in the softmax.

    Source: our reconstruction of RASL (k-point contrast).
    """
    logits = scores / temperature
    return (logits.logsumexp(dim=1) - logits.topk(k, dim=1).values.logsumexp(dim=1)).mean()


def highlight_precision(scores: Tensor, truth: Tensor, first: int | None = None) -> Tensor:
    """Average precision of each row of scores; of equal scores, the earlier one comes first.

    Args:
        scores: Shape ``(B, T)``.
        truth: Which points are highlights, bool, shape ``(B, T)``.
        first: Number of the highest scores to count; only highlights among these matter. By default all.

    Returns:
        From 0 to 1, float64, shape ``(B,)``; 0 for a row without highlights among those that count.
    """
    order = scores.argsort(dim=1, descending=True, stable=True)[:, :first]
    hits = truth.gather(1, order).double()
    places = torch.arange(1, hits.shape[1] + 1, device=hits.device)
    return (hits * hits.cumsum(dim=1) / places).sum(dim=1) / hits.sum(dim=1).clamp_min(1)
