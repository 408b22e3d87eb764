"""Normalisation of rows to unit length."""

from torch import Tensor
from torch.nn.functional import normalize

from mmssl.functional.precision import in_float32


@in_float32
def unit(rows: Tensor) -> Tensor:
    """Divide each row by its Euclidean length: ``(..., D)`` to ``(..., D)``, in float32 even under autocast."""
    return normalize(rows, dim=-1)
