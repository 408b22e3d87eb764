"""Learned unit vectors that represent clusters."""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from mmssl.functional import in_float32, unit
from mmssl.ranges import COUNT, SEVERAL, check_numbers, check_width
from mmssl.registry import MODELS


@MODELS.register_module()
class Prototypes(nn.Linear):
    """``num_prototypes`` unit rows; ``forward`` returns the cosines of unit embeddings with them.

    Args:
        dim: Width of the embeddings, at least 1.
        num_prototypes: Number K of prototypes, at least 2.
    """

    def __init__(self, dim: int, num_prototypes: int) -> None:
        check_numbers(COUNT, dim=dim)
        check_numbers(SEVERAL, num_prototypes=num_prototypes)
        super().__init__(dim, num_prototypes, bias=False)

    @torch.no_grad()
    def normalise(self) -> None:
        """Normalise every row in place; SwAV does this at the start of each iteration, even while they are frozen."""
        self.weight.copy_(unit(self.weight))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Cosines: ``(B, dim)`` unit rows to ``(B, K)``, in float32 even under autocast."""
        check_width(embeddings.shape[1], self.in_features, self, 'dim')
        return _cosines(embeddings, self.weight)


@in_float32
def _cosines(embeddings: Tensor, prototypes: Tensor) -> Tensor:
    return linear(embeddings, prototypes)
