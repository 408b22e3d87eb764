"""DenseCL: MoCo v2 on whole images and on pixels (Wang et al., CVPR 2021)."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from mmssl.datasets.structures import Batch
from mmssl.functional import Shuffle, dense_contrast, info_nce, match_pixels, unit
from mmssl.models.algorithms.base import BaseAlgorithm, build
from mmssl.models.memories import EMATeacher, Queue
from mmssl.models.memories.base import build_memory
from mmssl.ranges import POSITIVE, SHARE, check_numbers
from mmssl.registry import MODELS


class _Keys(NamedTuple):
    """The teacher's output for a view: a map of features, unit embeddings ``(B, D)``, and a map of embeddings."""

    features: Tensor
    wholes: Tensor
    pixels: Tensor


@MODELS.register_module()
class DenseCL(BaseAlgorithm):
    """MoCo with a second loss: match each pixel with the teacher's pixel of most similar features.

    Args:
        backbone: Module or its config.
        neck: Module or its config; averaged features to embeddings.
        dense_neck: Module or its config; a feature map to a map of embeddings.
        queue: Config of both memories of keys, by default a :class:`~mmssl.models.Queue` that starts with random rows:
            ``length`` and ``dim``. The second one holds averages over the teacher's pixels.
        dense_weight: Weight of the loss on pixels, 0 to 1; the loss on whole images gets the rest.
        momentum: Weight of the OLD teacher, 0 to 1.
        temperature: Divides the cosines; above 0.
        data_preprocessor: Module or its config.
        init_cfg: MMEngine's initialisation config.

    Source: the paper, and mmselfsup for the order of operations.
    """

    num_views = 2
    learns_from_maps = True

    def __init__(
        self,
        backbone: nn.Module | dict,
        neck: nn.Module | dict,
        dense_neck: nn.Module | dict,
        queue: dict,
        dense_weight: float = 0.5,
        momentum: float = 0.999,
        temperature: float = 0.2,
        data_preprocessor: nn.Module | dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_numbers(SHARE, dense_weight=dense_weight, momentum=momentum)
        check_numbers(POSITIVE, temperature=temperature)
        super().__init__(backbone, data_preprocessor, init_cfg)
        self.neck, self.dense_neck = build(neck), build(dense_neck)
        self.dense_weight, self.temperature = float(dense_weight), temperature
        self.teacher = EMATeacher(self.backbone, self.neck, self.dense_neck, momentum=momentum)
        self.queue, self.dense_queue = (build_memory(queue, Queue, random=True) for _ in range(2))

    def loss(self, inputs: list[Tensor], batch: Batch) -> dict[str, Tensor]:
        """InfoNCE of images and of pixels (DenseCL, eq. 1 to 3).

        Args:
            inputs: Two normalised views, each ``(B, C, H, W)``: of the queries, and of the keys.
            batch: Its draw numbers seed the shuffle.

        Returns:
            ``loss_image`` and ``loss_pixel``.
        """
        features = self.backbone(inputs[0])[-1]  # (B, C', h, w)
        queries, pixels = unit(self.neck(features.mean(dim=(2, 3)))), self.dense_neck(features)
        keys = self.encode_keys(inputs[1], batch)
        places = match_pixels(features, keys.features)
        self.queue.stage(keys.wholes)
        self.dense_queue.stage(unit(normalize(keys.pixels, dim=1).mean(dim=(2, 3))))
        self.teacher.stage()
        image = info_nce(queries, keys.wholes, self.queue.rows, self.temperature)
        pixel = dense_contrast(pixels, keys.pixels, places, self.dense_queue.rows, self.temperature)
        return {'loss_image': (1 - self.dense_weight) * image, 'loss_pixel': self.dense_weight * pixel}

    def chance_loss(self, batch_size: int) -> float:
        """Ln of the number of keys, those of a queue and the own one, which both losses choose among."""
        return math.log(1 + len(self.queue.rows))

    @torch.no_grad()
    def encode_keys(self, images: Tensor, batch: Batch) -> _Keys:
        """Encode a view with the teacher, on shuffled images as in MoCo."""
        backbone, neck, dense_neck = self.teacher.networks
        shuffle = Shuffle(self.seed, batch.draw)
        features = backbone(shuffle(images))[-1]
        keys, pixels = unit(neck(features.mean(dim=(2, 3)))), dense_neck(features)
        return _Keys(shuffle.back(features), shuffle.back(keys), shuffle.back(pixels))
