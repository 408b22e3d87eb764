"""PCA with whitening."""

import torch
from torch import Tensor

from mmssl.functional.precision import in_float32

_ROWS = 1 << 16  # at a time: a centred copy of all features would double the memory


@torch.no_grad()
@in_float32
def whiten(rows: Tensor, dim: int) -> Tensor:
    """Project onto the directions of largest variance, each scaled to a variance of 1 (PCA with whitening).

    Args:
        rows: Shape ``(N, D)``.
        dim: Number of directions to keep, at most D.

    Returns:
        Shape ``(N, dim)``, the direction of largest variance first; directions with less than a millionth of its
        variance, which are noise in float32, are set to 0.

    Raises:
        ValueError: More directions than the rows have.

    Source: DeepCluster, section 3 (Caron et al., ECCV 2018).
    """
    if not 1 <= dim <= rows.shape[1]:
        raise ValueError(f'{dim} directions of {rows.shape[1]}: set pca of the memory to {rows.shape[1]} or less.')
    mean = rows.mean(dim=0)
    products = torch.stack([_square(part - mean) for part in rows.split(_ROWS)]).sum(dim=0)
    variances, directions = torch.linalg.eigh(products / max(len(rows) - 1, 1))
    variances, directions = variances.flip(0)[:dim], directions.flip(1)[:, :dim]
    scales = torch.where(variances > 1e-6 * variances[0], variances, torch.inf).rsqrt()
    projection = (directions * scales).to(rows)
    return torch.cat([(part - mean) @ projection for part in rows.split(_ROWS)])


def _square(rows: Tensor) -> Tensor:
    return (rows.T @ rows).double()
