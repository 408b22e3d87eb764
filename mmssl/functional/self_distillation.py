"""Self-distillation: the student matches the teacher's distribution over prototypes (Caron et al., ICCV 2021)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmssl.functional.precision import in_float32


@in_float32
def self_distillation(
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    centre: Tensor,
    student_temperature: float,
    teacher_temperature: float,
) -> Tensor:
    """Cross-entropy of the student's distribution of a view with the teacher's of every other view.

    Args:
        student: Scores of each view, ``V x (B, K)``.
        teacher: Scores of the first views, ``T x (B, K)``; no gradient flows into them.
        centre: Subtracted from the teacher's scores, shape ``(K,)``.
        student_temperature: Divides the student's scores; positive.
        teacher_temperature: Divides the teacher's scores; lower values give sharper targets.

    Returns:
        Scalar: mean over the batch and over all pairs of different views.

    Source: DINO, algorithm 1; facebookresearch/dino, ``main_dino.py``.
    """
    targets = [((scores.detach() - centre) / teacher_temperature).softmax(dim=1) for scores in teacher]
    predictions = [(scores / student_temperature).log_softmax(dim=1) for scores in student]
    losses = [
        -(target * prediction).sum(dim=1).mean()
        for taught, target in enumerate(targets)
        for seen, prediction in enumerate(predictions)
        if seen != taught
    ]
    return torch.stack(losses).mean()
