"""SimSiam: predict the embedding of the other view with neither negatives nor teacher (Chen and He, CVPR 2021)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.functional import negative_cosine
from mmssl.models.additions import Addition
from mmssl.models.algorithms.base import build
from mmssl.models.algorithms.contrastive import Contrastive
from mmssl.registry import MODELS


@MODELS.register_module()
class SimSiam(Contrastive):
    """Predict the embedding of one view, without gradient, from that of the other, in both directions.

    The learning rate of the predictor does not decay in the paper: set ``fix_lr=True`` for its parameters in
    ``optim_wrapper.paramwise_cfg.custom_keys``, see :class:`~mmssl.engine.WarmupCosineLR`.

    Args:
        backbone: Module or its config.
        neck: Module or its config; features to embeddings: the projector.
        predictor: Module or its config; embeddings to predictions of the same width, narrower in between.
        additions: :class:`~mmssl.models.Addition` modules or their configs.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Source: the paper, algorithm 1; facebookresearch/simsiam, ``simsiam/builder.py``.
    """

    directions = 2

    def __init__(
        self,
        backbone: nn.Module | dict,
        neck: nn.Module | dict,
        predictor: nn.Module | dict,
        additions: Sequence[Addition | dict] = (),
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(backbone, neck, additions, data_preprocessor, init_cfg)
        self.predictor = build(predictor)

    def query(self, images: Tensor) -> Tensor:
        """Predictions: ``(B, C, H, W)`` to ``(B, D)``, not normalised."""
        return self.predictor(self.embed(images))

    def encode(self, inputs: list[Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """Predictions from both views, and the embeddings of the other view: ``(2 B, D)`` each.

        Each view has a pass of its own, so batch norm sees one kind of view at a time.
        """
        first, second = (self.embed(view) for view in inputs)
        predictions = torch.cat([self.predictor(first), self.predictor(second)])
        return predictions, torch.cat([second, first]).detach()

    def partners(self, queries: Tensor, keys: Tensor) -> Tensor:
        """The predictions from the other view, with gradient: ``(2 B, D)``."""
        return torch.cat(queries.chunk(2)[::-1])

    def contrast(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Half the negative cosine of predictions and targets (SimSiam, eq. 4): a scalar."""
        return negative_cosine(queries, keys) / 2
