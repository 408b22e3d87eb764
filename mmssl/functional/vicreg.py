"""VICReg: variance, invariance and covariance of embeddings (Bardes et al., ICLR 2022)."""

from typing import NamedTuple

from torch import Tensor
from torch.distributed import ProcessGroup
from torch.nn.functional import mse_loss, relu

from mmssl.functional.collectives import gather_with_gradient
from mmssl.functional.precision import in_float32

_EPS = 1e-4  # added to the variance before its root


class VICRegTerms(NamedTuple):
    """Terms of VICReg's loss, scalars.

    Attributes:
        invariance: Mean squared distance of the two views.
        variance: How much the deviation of each dimension falls short of 1, mean over dimensions and views.
        covariance: Squared covariances of different dimensions, their sum divided by ``D``, sum over the views.
    """

    invariance: Tensor
    variance: Tensor
    covariance: Tensor


@in_float32
def vicreg(first: Tensor, second: Tensor, group: ProcessGroup | None = None) -> VICRegTerms:
    """Compute the terms of VICReg; variance and covariance are those of the global batch.

    Gradients also flow through the rows of other ranks: the mean over the ranks, weighted by batch size, has the
    gradient of one process with the whole batch.

    Args:
        first: Embeddings of one view of each of this rank's images, shape ``(B, D)``; ``B`` may differ between ranks.
        second: Embeddings of the other views in the same order, shape ``(B, D)``.
        group: The processes that take part; ``None`` means all; no process group is needed.

    Returns:
        The terms; the invariance is the mean over this rank's images, the others are the same on every rank.

    Source: VICReg, eq. 1 to 5; facebookresearch/vicreg, ``main_vicreg.py`` (half the variances of both views).
    """
    centred = []
    for rows in (first, second):
        everything = gather_with_gradient(rows, group)[0]
        centred.append(everything - everything.mean(dim=0))
    return VICRegTerms(
        invariance=mse_loss(first, second),
        variance=(_shortfall(centred[0]) + _shortfall(centred[1])) / 2,
        covariance=_covariance(centred[0]) + _covariance(centred[1]),
    )


def _shortfall(centred: Tensor) -> Tensor:
    """Mean over the dimensions of what their deviation lacks to 1: eq. 1."""
    variance = centred.square().sum(dim=0) / (len(centred) - 1)
    return relu(1 - (variance + _EPS).sqrt()).mean()


def _covariance(centred: Tensor) -> Tensor:
    """Sum of the squared covariances of different dimensions, divided by their number: eq. 4."""
    covariance = centred.T @ centred / (len(centred) - 1)  # (D, D)
    others = covariance.square().sum() - covariance.diagonal().square().sum()
    return others / centred.shape[1]
