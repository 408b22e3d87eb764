"""SimCLR: identify the other view of an image in the batch (Chen et al., ICML 2020)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.functional import nt_xent, unit
from mmssl.models.additions import Addition
from mmssl.models.algorithms.contrastive import Contrastive
from mmssl.ranges import POSITIVE, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class SimCLR(Contrastive):
    """Pull two views of an image together, and push them away from all other views of the global batch.

    Args:
        backbone: Module or its config.
        neck: Module or its config; features to embeddings.
        temperature: Divides the cosines; above 0.
        additions: :class:`~mmssl.models.Addition` modules or their configs; they get the first view as the query.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.
    """

    minimum_batch = 2

    def __init__(
        self,
        backbone: nn.Module | dict,
        neck: nn.Module | dict,
        temperature: float = 0.1,
        additions: Sequence[Addition | dict] = (),
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(POSITIVE, temperature=temperature)
        super().__init__(backbone, neck, additions, data_preprocessor, init_cfg)
        self.temperature = temperature

    def encode(self, inputs: list[Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """Embeddings of both views, ``(B, D)`` each, not normalised, in one pass."""
        first, second = self.embed(torch.cat(inputs)).chunk(2)
        return first, second

    def chance_loss(self, batch_size: int) -> float | None:
        """Ln of the number of other views in the batch, 2B - 1; None with additions, which change the loss."""
        return None if self.additions else math.log(2 * batch_size - 1)

    def contrast(self, queries: Tensor, keys: Tensor) -> Tensor:
        """NT-Xent of two views (SimCLR, eq. 1): a scalar."""
        return nt_xent(unit(queries), unit(keys), self.temperature)
