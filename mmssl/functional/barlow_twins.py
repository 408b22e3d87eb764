"""Barlow Twins: make the cross-correlation of two views the identity (Zbontar et al., ICML 2021)."""

from torch import Tensor
from torch.distributed import ProcessGroup

from mmssl.functional.collectives import gather_with_gradient
from mmssl.functional.precision import in_float32

_EPS = 1e-5  # that of batch norm, which standardises in the authors' code


@in_float32
def barlow_twins(first: Tensor, second: Tensor, weight: float, group: ProcessGroup | None = None) -> Tensor:
    """Pull the correlation of each dimension with itself to 1, and with every other dimension to 0.

    Mean and deviation of each dimension, and the correlations, are those of the global batch. Gradients also flow
    through the rows of other ranks: the mean over the ranks, weighted by batch size, has the gradient of one process
    with the whole batch. (In the authors' code, as in other toolboxes, every rank differentiates its own addend only,
    and the mean over the ranks is 1/W of that gradient; LARS hides the factor.)

    Args:
        first: Embeddings of one view of each of this rank's images, shape ``(B, D)``; ``B`` may differ between ranks.
        second: Embeddings of the other views in the same order, shape ``(B, D)``.
        weight: Weight of the redundancy term, the correlations of different dimensions: lambda.
        group: The processes that take part; ``None`` means all; no process group is needed.

    Returns:
        Scalar: the loss of the global batch, the same on every rank.

    Source: Barlow Twins, eq. 1 and 2.
    """
    first, second = (_standardised(gather_with_gradient(rows, group)[0]) for rows in (first, second))
    correlation = first.T @ second / len(first)  # (D, D)
    own = correlation.diagonal()
    invariance = (own - 1).square().sum()
    redundancy = correlation.square().sum() - own.square().sum()
    return invariance + weight * redundancy


def _standardised(rows: Tensor) -> Tensor:
    """Rows with mean 0 and variance 1 in each dimension."""
    centred = rows - rows.mean(dim=0)
    return centred * (centred.square().mean(dim=0) + _EPS).rsqrt()
