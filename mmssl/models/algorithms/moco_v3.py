"""MoCo v3: a predictor, a teacher, and the keys of the batch as negatives (Chen et al., ICCV 2021)."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from mmssl.functional import batch_contrast, unit
from mmssl.models.additions import Addition
from mmssl.models.algorithms.byol import BYOL
from mmssl.ranges import POSITIVE, SHARE, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class MoCoV3(BYOL):
    """Identify the teacher's key of the other view among the keys of the global batch, in both directions.

    Network, predictor and teacher are those of BYOL. There is no queue.

    Args:
        backbone: Module or its config.
        neck: Module or its config; features to embeddings: the projector.
        predictor: Module or its config; embeddings to predictions of the same width. The teacher has none.
        momentum: Weight of the OLD teacher, 0 to 1; the papers' code moves it to 1 along a cosine.
        temperature: Divides the cosines; above 0; the loss is multiplied by twice its value.
        additions: :class:`~mmssl.models.Addition` modules or their configs.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Source: the paper, algorithm 1; facebookresearch/moco-v3, ``moco/builder.py``.
    """

    minimum_batch = 2

    def __init__(
        self,
        backbone: nn.Module | dict,
        neck: nn.Module | dict,
        predictor: nn.Module | dict,
        momentum: float = 0.99,
        temperature: float = 1.0,
        additions: Sequence[Addition | dict] = (),
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(SHARE, momentum=momentum)
        check_numbers(POSITIVE, temperature=temperature)
        super().__init__(backbone, neck, predictor, momentum, additions, data_preprocessor, init_cfg)
        self.temperature = temperature

    def chance_loss(self, batch_size: int) -> float | None:
        """Ln of the number of keys, for both directions, scaled; None with additions, which change the loss."""
        return None if self.additions else self.directions * 2 * self.temperature * math.log(batch_size)

    def contrast(self, queries: Tensor, keys: Tensor) -> Tensor:
        """InfoNCE of queries and the keys of the batch, times twice the temperature (algorithm 1): a scalar."""
        loss = batch_contrast(unit(queries), unit(keys), self.temperature)
        return 2 * self.temperature * loss
