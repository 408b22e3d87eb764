"""Hallucinated queries: what lies beyond a query, seen from its partner."""

from torch import Tensor


def extrapolate(rows: Tensor, partners: Tensor, ratio: float) -> Tensor:
    """Move each row away from its partner.

    Args:
        rows: Shape ``(B, D)``.
        partners: Shape ``(B, D)``.
        ratio: How far, as a share of the distance; 0 leaves the rows where they are.

    Returns:
        ``(1 + ratio) * rows - ratio * partners``, shape ``(B, D)``.

    Source: jingwu6/Hallucination-Improves-the-Performance-of-Unsupervised-Visual-Representation-Learning.
    """
    return (1 + ratio) * rows - ratio * partners
