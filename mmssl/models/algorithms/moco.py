"""MoCo v1 and v2: a queue of keys from a teacher, the momentum encoder (He et al., CVPR 2020; Chen et al., 2020)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.functional import Shuffle, info_nce, unit
from mmssl.models.additions import Addition
from mmssl.models.algorithms.base import pooled
from mmssl.models.algorithms.contrastive import Contrastive
from mmssl.models.memories import BaseMemory, EMATeacher, Queue
from mmssl.models.memories.base import build_memory
from mmssl.ranges import POSITIVE, SHARE, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class MoCo(Contrastive):
    """Contrast a query with the teacher's key of the same image and with a queue of keys from earlier batches.

    v1 has a linear neck and temperature 0.07; v2 has two layers, temperature 0.2 and stronger views. The rest is the
    same.

    Args:
        backbone: Module or its config.
        neck: Module or its config; features to embeddings.
        queue: Memory of the keys, or its config: by default ``length`` and ``dim`` of a
            :class:`~mmssl.models.Queue` that starts with random rows. Another memory needs a buffer ``rows``
            ``(N, D)`` of unit rows, and ``stage(rows)``, which takes the unit keys of a batch.
        momentum: Weight of the OLD teacher, 0 to 1.
        temperature: Divides the cosines; above 0.
        symmetric: Whether each view is the query once and the key once; the queue then gets the keys of both.
        additions: :class:`~mmssl.models.Addition` modules or their configs.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Source: the papers, and facebookresearch/moco for the order of operations.
    """

    def __init__(
        self,
        backbone: nn.Module | dict,
        neck: nn.Module | dict,
        queue: BaseMemory | dict,
        momentum: float = 0.999,
        temperature: float = 0.2,
        symmetric: bool = False,
        additions: Sequence[Addition | dict] = (),
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(SHARE, momentum=momentum)
        check_numbers(POSITIVE, temperature=temperature)
        super().__init__(backbone, neck, additions, data_preprocessor, init_cfg)
        self.temperature, self.directions = temperature, 2 if symmetric else 1
        self.teacher = EMATeacher(self.backbone, self.neck, momentum=momentum)
        self.queue = build_memory(queue, Queue, random=True)

    def encode(self, inputs: list[Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """Queries of the student and keys of the teacher, ``(B, D)`` or ``(2 B, D)`` each, not normalised."""
        queries = [self.embed(view) for view in inputs[: self.directions]]
        keys = [self.encode_keys(view, batch) for view in reversed(inputs[-self.directions :])]
        return torch.cat(queries), torch.cat(keys)

    def chance_loss(self, batch_size: int) -> float | None:
        """Ln of the number of keys per direction, queue and own key; None with additions, which change the loss."""
        return None if self.additions else self.directions * math.log(1 + len(self.queue.rows))

    def contrast(self, queries: Tensor, keys: Tensor) -> Tensor:
        """InfoNCE of queries with their keys and the rows of the queue (MoCo, eq. 1): a scalar."""
        return info_nce(unit(queries), unit(keys), self.queue.rows, self.temperature)

    def partners(self, queries: Tensor, keys: Tensor) -> Tensor:
        """The unit keys, ``(B, D)``."""
        return unit(keys)

    def stage(self, queries: Tensor, keys: Tensor) -> None:
        """Stage the keys for the queue, and the update of the teacher."""
        for part in keys.chunk(self.directions):  # one at a time: all first views of the global batch, then all second
            self.queue.stage(unit(part))
        self.teacher.stage()

    def encode_keys(self, images: Tensor, batch: Batch) -> Tensor:
        """Embeddings of the teacher, ``(B, D)``, with images shuffled over ranks so that batch norm leaks nothing."""
        return shuffled_keys(self.teacher, images, Shuffle(self.seed, batch.draw))


@torch.no_grad()
def shuffled_keys(teacher: EMATeacher, images: Tensor, shuffle: Shuffle) -> Tensor:
    """Embeddings of a teacher of backbone and neck, with images shuffled over ranks so that batch norm leaks nothing.

    Args:
        teacher: Its networks are a backbone and a neck.
        images: Normalised, shape ``(B, C, H, W)``.
        shuffle: Permutes the images of all ranks.

    Returns:
        Shape ``(B, D)``, in the order of the images, not normalised, without gradient.
    """
    backbone, neck = teacher.networks
    return shuffle.back(neck(pooled(backbone, shuffle(images))))
