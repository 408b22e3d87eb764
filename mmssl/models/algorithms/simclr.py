"""SimCLR: a view finds the other view of its image in the batch (Chen et al., ICML 2020)."""

import torch
from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.functional import nt_xent, unit
from mmssl.models.algorithms.base import BaseAlgorithm, build
from mmssl.registry import MODELS


@MODELS.register_module()
class SimCLR(BaseAlgorithm):
    """Two views of an image attract each other and repel all other views of the global batch.

    Args:
        backbone: Module or its config.
        neck: Module or its config; features to embeddings.
        temperature: Divides the cosines.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.
    """

    num_views = 2

    def __init__(
        self,
        backbone: nn.Module | dict,
        neck: nn.Module | dict,
        temperature: float = 0.1,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(backbone, data_preprocessor, init_cfg)
        self.neck, self.temperature = build(neck), temperature

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """NT-Xent of two views (SimCLR, eq. 1).

        Args:
            inputs: Two normalised views, each ``(B, C, H, W)``.
            batch: Not used: SimCLR needs no sample numbers.

        Returns:
            ``loss``.
        """
        return {'loss': nt_xent(*self.encode(inputs), self.temperature)}

    def encode(self, inputs: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Unit embeddings of both views, ``(B, D)`` each, by one pass."""
        first, second = unit(self.neck(self.extract_feat(torch.cat(inputs)))).chunk(2)
        return first, second
