"""MoCo v2+: MoCo v2 in both directions, with a queue for each view (as in solo-learn)."""

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmssl.functional import info_nce, unit
from mmssl.models.additions import Addition
from mmssl.models.algorithms.moco import MoCo
from mmssl.models.memories import BaseMemory, Queue
from mmssl.models.memories.base import build_memory
from mmssl.ranges import POSITIVE, SHARE, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class MoCoV2Plus(MoCo):
    """Contrast each view with the teacher's key of the other one, with a queue for each view; the loss is the mean.

    So a query sees one key per image. (``MoCo(symmetric=True)`` has both in one queue, and its loss is the sum.)
    Additions get the rows of both directions; those that call :meth:`contrast` again compare with the queue of second
    views.

    Args:
        backbone: Module or its config.
        neck: Module or its config; features to embeddings.
        queue: Memory of the keys of second views, or its config, as in :class:`MoCo`; that of first views is the same.
        momentum: Weight of the OLD teacher, 0 to 1; solo-learn moves it along a cosine.
        temperature: Divides the cosines; above 0.
        additions: :class:`~mmssl.models.Addition` modules or their configs.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Source: the symmetric form of MoCo v2 in SimSiam, section 5 (Chen and He, CVPR 2021); vturrisi/solo-learn,
    ``solo/methods/mocov2plus.py``, for the two queues and the mean.
    """

    def __init__(
        self,
        backbone: nn.Module | dict,
        neck: nn.Module | dict,
        queue: BaseMemory | dict,
        momentum: float = 0.99,
        temperature: float = 0.2,
        additions: Sequence[Addition | dict] = (),
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(SHARE, momentum=momentum)
        check_numbers(POSITIVE, temperature=temperature)
        super().__init__(backbone, neck, queue, momentum, temperature, True, additions, data_preprocessor, init_cfg)
        self.first_queue = build_memory(copy.deepcopy(queue), Queue, random=True)

    def chance_loss(self, batch_size: int) -> float | None:
        """Ln of the number of keys, queue and own key, since the loss is a mean; None with additions."""
        return None if self.additions else math.log(1 + len(self.queue.rows))

    def compare(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Mean of InfoNCE over both directions, each with the queue of its keys' view: a scalar."""
        directions = zip(unit(queries).chunk(2), unit(keys).chunk(2), (self.queue, self.first_queue))
        losses = [info_nce(query, key, queue.rows, self.temperature) for query, key, queue in directions]
        return torch.stack(losses).mean()

    def stage(self, queries: Tensor, keys: Tensor) -> None:
        """Stage the keys of each view for its queue, and the update of the teacher."""
        second, first = unit(keys).chunk(2)
        self.queue.stage(second)
        self.first_queue.stage(first)
        self.teacher.stage()
