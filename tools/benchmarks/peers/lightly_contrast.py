"""SimCLR and MoCo built from lightly's parts, as in lightly's own examples, so that they run in our training."""

import copy
from typing import Any

from lightly.loss import NTXentLoss
from lightly.models.modules import MoCoProjectionHead, SimCLRProjectionHead
from lightly.models.utils import deactivate_requires_grad, update_momentum
from mmengine.config import Config
from torch import Tensor, no_grad

from mmssl.models import BaseAlgorithm
from mmssl.models.algorithms.base import pooled
from mmssl.registry import MODELS


@MODELS.register_module()
class LightlySimCLR(BaseAlgorithm):
    """lightly's projection head and loss on our backbone; one forward pass per view, as in its example.

    Args:
        backbone: Config of the backbone.
        neck: ``in_channels``, ``hidden_channels`` and ``out_channels`` of the projection head.
        temperature: Temperature of the loss.
        data_preprocessor: Config.
    """

    def __init__(self, backbone: dict, neck: dict, temperature: float, data_preprocessor: dict) -> None:
        super().__init__(backbone, data_preprocessor)
        self.neck = SimCLRProjectionHead(neck['in_channels'], neck['hidden_channels'], neck['out_channels'])
        self.criterion = NTXentLoss(temperature)

    def loss(self, inputs: list[Tensor], batch: Any) -> dict[str, Tensor]:
        """The training step of lightly."""
        return {'loss': self.criterion(*(self.neck(self.extract_feat(view)) for view in inputs))}


@MODELS.register_module()
class LightlyMoCo(BaseAlgorithm):
    """lightly's projection head, momentum update, queue and loss on our backbone, as in its MoCo v2 example.

    Args:
        backbone: Config of the backbone.
        neck: ``in_channels``, ``hidden_channels`` and ``out_channels`` of the projection head.
        queue: ``length`` and ``dim``.
        momentum: Weight of the teacher's old value.
        temperature: Temperature of the loss.
        data_preprocessor: Config.
    """

    def __init__(
        self, backbone: dict, neck: dict, queue: dict, momentum: float, temperature: float, data_preprocessor: dict
    ) -> None:
        super().__init__(backbone, data_preprocessor)
        self.neck = MoCoProjectionHead(neck['in_channels'], neck['hidden_channels'], neck['out_channels'])
        self.backbone_teacher, self.neck_teacher = copy.deepcopy(self.backbone), copy.deepcopy(self.neck)
        deactivate_requires_grad(self.backbone_teacher)
        deactivate_requires_grad(self.neck_teacher)
        self.momentum = momentum
        self.criterion = NTXentLoss(temperature, memory_bank_size=(queue['length'], queue['dim']))

    def loss(self, inputs: list[Tensor], batch: Any) -> dict[str, Tensor]:
        """The training step of lightly."""
        update_momentum(self.backbone, self.backbone_teacher, self.momentum)
        update_momentum(self.neck, self.neck_teacher, self.momentum)
        query = self.neck(self.extract_feat(inputs[0]))
        with no_grad():
            key = self.neck_teacher(pooled(self.backbone_teacher, inputs[1]))
        return {'loss': self.criterion(query, key)}


def adapt(cfg: Config) -> None:
    """Put lightly's method into a config of ours, with our numbers.

    Args:
        cfg: A config of SimCLR or MoCo; changed in place.
    """
    types = {'SimCLR': LightlySimCLR, 'MoCo': LightlyMoCo}
    cfg.model.type = types[cfg.model.type.__name__]
