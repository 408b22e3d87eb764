"""VICReg: keep variance, pull views together, decorrelate dimensions (Bardes et al., ICLR 2022)."""

from collections.abc import Sequence

from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.functional import vicreg
from mmssl.models.additions import Addition
from mmssl.models.algorithms.contrastive import Contrastive
from mmssl.ranges import NOT_NEGATIVE, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class VICReg(Contrastive):
    """Weigh three terms: the views' distance, too little variance, and the covariance of different dimensions.

    Args:
        backbone: Module or its config.
        neck: Module or its config; features to embeddings, which are wide.
        invariance: Weight of the distance, lambda; at least 0.
        variance: Weight of the variance term, mu; at least 0.
        covariance: Weight of the covariance term, nu; at least 0.
        additions: :class:`~mmssl.models.Addition` modules or their configs; they get the first view as the query.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Source: the paper, eq. 6; facebookresearch/vicreg, ``main_vicreg.py``.
    """

    minimum_batch = 2

    def __init__(
        self,
        backbone: nn.Module | dict,
        neck: nn.Module | dict,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        additions: Sequence[Addition | dict] = (),
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(NOT_NEGATIVE, invariance=invariance, variance=variance, covariance=covariance)
        super().__init__(backbone, neck, additions, data_preprocessor, init_cfg)
        self.invariance, self.variance, self.covariance = invariance, variance, covariance

    def encode(self, inputs: list[Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """Embeddings of both views, ``(B, D)`` each, in a pass each."""
        return self.embed(inputs[0]), self.embed(inputs[1])

    def contrast(self, queries: Tensor, keys: Tensor) -> Tensor:
        """The weighted sum of the three terms, of rows as they are (VICReg, eq. 6): a scalar."""
        terms = vicreg(queries, keys)
        return self.invariance * terms.invariance + self.variance * terms.variance + self.covariance * terms.covariance
