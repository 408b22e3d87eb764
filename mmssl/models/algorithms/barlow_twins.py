"""Barlow Twins: dimensions of two views correlate with themselves only (Zbontar et al., ICML 2021)."""

from collections.abc import Sequence

from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.functional import barlow_twins
from mmssl.models.additions import Addition
from mmssl.models.algorithms.contrastive import Contrastive
from mmssl.ranges import NOT_NEGATIVE, POSITIVE, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class BarlowTwins(Contrastive):
    """Make the cross-correlation of the embeddings of two views the identity, over the global batch.

    Args:
        backbone: Module or its config.
        neck: Module or its config; features to embeddings, which are wide.
        weight: Weight of the redundancy term, lambda; at least 0.
        scale: Factor of the loss, above 0; 0.1 in solo-learn: it changes what weight decay and a clipped LARS do.
        additions: :class:`~mmssl.models.Addition` modules or their configs; they get the first view as the query.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Source: the paper, section 3.1; facebookresearch/barlowtwins.
    """

    minimum_batch = 2

    def __init__(
        self,
        backbone: nn.Module | dict,
        neck: nn.Module | dict,
        weight: float = 0.0051,
        scale: float = 1.0,
        additions: Sequence[Addition | dict] = (),
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(NOT_NEGATIVE, weight=weight)
        check_numbers(POSITIVE, scale=scale)
        super().__init__(backbone, neck, additions, data_preprocessor, init_cfg)
        self.weight, self.scale = weight, scale

    def encode(self, inputs: list[Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """Embeddings of both views, ``(B, D)`` each, in a pass each."""
        return self.embed(inputs[0]), self.embed(inputs[1])

    def contrast(self, queries: Tensor, keys: Tensor) -> Tensor:
        """The loss of Barlow Twins (eq. 1); rows are standardised over the global batch: a scalar."""
        return self.scale * barlow_twins(queries, keys, self.weight)
