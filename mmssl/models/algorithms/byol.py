"""BYOL: predict the teacher's embedding of the other view; no negatives (Grill et al., NeurIPS 2020)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.functional import negative_cosine
from mmssl.models.additions import Addition
from mmssl.models.algorithms.base import build, pooled
from mmssl.models.algorithms.contrastive import Contrastive
from mmssl.models.memories import EMATeacher
from mmssl.ranges import SHARE, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class BYOL(Contrastive):
    """Predict the teacher's embedding of one view from the student's embedding of the other, in both directions.

    Args:
        backbone: Module or its config.
        neck: Module or its config; features to embeddings: the projector.
        predictor: Module or its config; embeddings to predictions of the same width. The teacher has none.
        momentum: Weight of the OLD teacher, 0 to 1; the papers' code moves it to 1 along a cosine.
        additions: :class:`~mmssl.models.Addition` modules or their configs.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Source: the paper, section 3; google-deepmind/deepmind-research, ``byol/byol_experiment.py``.
    """

    directions = 2

    def __init__(
        self,
        backbone: nn.Module | dict,
        neck: nn.Module | dict,
        predictor: nn.Module | dict,
        momentum: float = 0.996,
        additions: Sequence[Addition | dict] = (),
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(SHARE, momentum=momentum)
        super().__init__(backbone, neck, additions, data_preprocessor, init_cfg)
        self.predictor = build(predictor)
        self.teacher = EMATeacher(self.backbone, self.neck, momentum=momentum)

    def query(self, images: Tensor) -> Tensor:
        """Predictions of the student: ``(B, C, H, W)`` to ``(B, D)``, not normalised."""
        return self.predictor(self.embed(images))

    def encode(self, inputs: list[Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """Predictions from both views, and the teacher's embeddings of the other view: ``(2 B, D)`` each.

        Each view has a pass of its own, so batch norm sees one kind of view at a time.
        """
        predictions = [self.query(view) for view in inputs]
        first, second = (self.encode_keys(view) for view in inputs)
        return torch.cat(predictions), torch.cat([second, first])

    @torch.no_grad()
    def encode_keys(self, images: Tensor) -> Tensor:
        """Embeddings of the teacher: ``(B, C, H, W)`` to ``(B, D)``, not normalised."""
        backbone, neck = self.teacher.networks
        return neck(pooled(backbone, images))

    def contrast(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Squared distance of unit predictions and targets (BYOL, eq. 2): a scalar."""
        return 2 + 2 * negative_cosine(queries, keys)

    def stage(self, queries: Tensor, keys: Tensor) -> None:
        """Stage the update of the teacher."""
        self.teacher.stage()
