"""Sinkhorn-Knopp: soft assignments that use every prototype equally often."""

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from mmssl.functional.collectives import max_over_ranks, sum_over_ranks
from mmssl.functional.precision import in_float32


@torch.no_grad()
@in_float32
def sinkhorn(scores: Tensor, epsilon: float = 0.05, iterations: int = 3, group: ProcessGroup | None = None) -> Tensor:
    """Codes of the samples of all ranks, balanced over the prototypes.

    Columns and rows of ``exp(scores / epsilon)`` are scaled alternately, so that each prototype holds an equal share of
    the mass and each sample a mass of 1. The mass of a prototype is summed over all ranks in every iteration, so the
    ranks together get the codes that one process would.

    Args:
        scores: Cosines of this rank's samples with the prototypes, shape ``(B, K)``. ``B`` may differ between ranks.
        epsilon: Entropy weight; positive. Smaller gives harder codes.
        iterations: Pairs of scalings; at least 1.
        group: The processes that take part; ``None`` means all; no process group is needed.

    Returns:
        Codes, shape ``(B, K)``; rows sum to 1. No gradient.

    Source: SwAV, section 3.1 and appendix A (Caron et al., NeurIPS 2020).
    """
    scores = scores / epsilon
    codes = torch.softmax(scores - _log_mass(scores, group), dim=1)  # the first pair, in logarithms to avoid overflow
    for _ in range(iterations - 1):
        mass = sum_over_ranks(codes.sum(dim=0), group)  # (K,), mass of each prototype over all ranks
        codes = codes / mass.clamp_min(torch.finfo(codes.dtype).tiny)
        codes = codes / codes.sum(dim=1, keepdim=True)
    return codes


def _log_mass(logits: Tensor, group: ProcessGroup | None) -> Tensor:
    """Logarithm of the sum of ``exp(logits)`` over the samples of all ranks, shape ``(K,)``."""
    none = logits.new_full(logits.shape[1:], -torch.inf)
    largest = max_over_ranks(logits.amax(dim=0) if len(logits) else none, group)
    return largest + sum_over_ranks((logits - largest).exp().sum(dim=0), group).log()
