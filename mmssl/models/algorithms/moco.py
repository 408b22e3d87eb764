"""MoCo v1 and v2: a queue of keys from a momentum encoder (He et al., CVPR 2020; Chen et al., 2020)."""

import torch
from torch import Tensor, nn

from mmssl.datasets.structures import Batch
from mmssl.functional import Shuffle, info_nce, unit
from mmssl.models.algorithms.base import BaseAlgorithm, build, pooled
from mmssl.models.memories import EMATeacher, Queue
from mmssl.registry import MODELS


@MODELS.register_module()
class MoCo(BaseAlgorithm):
    """A query finds the key of its image, from a slowly following encoder, among keys of many batches before.

    v1 has a linear neck and temperature 0.07, v2 two layers, temperature 0.2 and stronger views; the rest is one.

    Args:
        backbone: Module or its config.
        neck: Module or its config; features to embeddings.
        queue: Arguments of the :class:`~mmssl.models.memories.Queue` of keys: ``length`` and ``dim``.
        momentum: Weight of the old teacher.
        temperature: Divides the cosines.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Source: the papers, and facebookresearch/moco for the order of operations.
    """

    num_views = 2

    def __init__(
        self,
        backbone: nn.Module | dict,
        neck: nn.Module | dict,
        queue: dict,
        momentum: float = 0.999,
        temperature: float = 0.2,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(backbone, data_preprocessor, init_cfg)
        self.neck, self.temperature = build(neck), temperature
        self.teacher = EMATeacher(self.backbone, self.neck, momentum=momentum)
        self.queue = Queue(**queue, random=True)

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """InfoNCE of queries with their keys (MoCo, eq. 1).

        Args:
            inputs: Two normalised views, each ``(B, C, H, W)``: of the queries, and of the keys.
            batch: Its draws order the shuffle.

        Returns:
            ``loss``.
        """
        queries, keys = self.encode(inputs, batch)
        return {'loss': info_nce(queries, keys, self.queue.rows, self.temperature)}

    def encode(self, inputs: list[Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """Unit embeddings of both views, ``(B, D)`` each: queries and keys; stages the keys and the student."""
        queries = unit(self.neck(self.extract_feat(inputs[0])))
        keys = self.encode_keys(inputs[1], batch)
        self.queue.stage(keys)
        self.teacher.stage()
        return queries, keys

    @torch.no_grad()
    def encode_keys(self, images: Tensor, batch: Batch) -> Tensor:
        """Unit embeddings of the teacher, ``(B, D)``; shuffled over the ranks, so that batch norm tells it nothing."""
        backbone, neck = self.teacher.networks
        shuffle = Shuffle(self.seed, batch.draw)
        return shuffle.back(unit(neck(pooled(backbone, shuffle(images)))))
