"""BYOL, SimSiam, Barlow Twins, VICReg and DINO built from lightly's parts, so that they run in our training."""

import copy
from typing import Any

from lightly.loss import BarlowTwinsLoss, DINOLoss, NegativeCosineSimilarity, VICRegLoss
from lightly.models.modules import (
    BarlowTwinsProjectionHead,
    BYOLPredictionHead,
    BYOLProjectionHead,
    DINOProjectionHead,
    SimSiamPredictionHead,
    SimSiamProjectionHead,
)
from lightly.models.modules.heads import VICRegProjectionHead
from lightly.models.utils import deactivate_requires_grad, update_momentum
from mmengine.config import Config
from torch import Tensor, nn, no_grad

from mmssl.models import BaseAlgorithm
from mmssl.models.algorithms.base import pooled
from mmssl.registry import MODELS


def _sizes(head: dict) -> tuple[int, int, int]:
    return head['in_channels'], head['hidden_channels'], head['out_channels']


class _WithTeacher(BaseAlgorithm):
    """A student whose backbone and head a teacher follows, as in lightly's examples."""

    momentum: float

    def _follow(self, head: nn.Module) -> None:
        self.neck = head
        self.backbone_teacher, self.neck_teacher = copy.deepcopy(self.backbone), copy.deepcopy(head)
        deactivate_requires_grad(self.backbone_teacher)
        deactivate_requires_grad(self.neck_teacher)

    def _move(self) -> None:
        update_momentum(self.backbone, self.backbone_teacher, self.momentum)
        update_momentum(self.neck, self.neck_teacher, self.momentum)

    @no_grad()
    def _teach(self, view: Tensor) -> Tensor:
        return self.neck_teacher(pooled(self.backbone_teacher, view))


@MODELS.register_module()
class LightlyBYOL(_WithTeacher):
    """lightly's heads, loss and momentum update on our backbone; the loss is multiplied by 4, as ours and the paper's.

    Args:
        backbone: Config of the backbone.
        neck: Widths of the projection head.
        predictor: Widths of the prediction head.
        momentum: Weight of the teacher's old value.
        data_preprocessor: Config.
    """

    def __init__(self, backbone: dict, neck: dict, predictor: dict, momentum: float, data_preprocessor: dict) -> None:
        super().__init__(backbone, data_preprocessor)
        self._follow(BYOLProjectionHead(*_sizes(neck)))
        self.predictor, self.momentum = BYOLPredictionHead(*_sizes(predictor)), momentum
        self.criterion = NegativeCosineSimilarity()

    def loss(self, inputs: list[Tensor], batch: Any) -> dict[str, Tensor]:
        """The training step of lightly."""
        self._move()
        first, second = (self.predictor(self.neck(self.extract_feat(view))) for view in inputs)
        taught = [self._teach(view) for view in inputs]
        return {'loss': 2 * (self.criterion(first, taught[1]) + self.criterion(second, taught[0]))}


@MODELS.register_module()
class LightlySimSiam(BaseAlgorithm):
    """lightly's heads and loss on our backbone.

    Args:
        backbone: Config of the backbone.
        neck: Widths of the projection head.
        predictor: Widths of the prediction head.
        data_preprocessor: Config.
    """

    def __init__(self, backbone: dict, neck: dict, predictor: dict, data_preprocessor: dict) -> None:
        super().__init__(backbone, data_preprocessor)
        self.neck = SimSiamProjectionHead(*_sizes(neck))
        self.predictor = SimSiamPredictionHead(*_sizes(predictor))
        self.criterion = NegativeCosineSimilarity()

    def loss(self, inputs: list[Tensor], batch: Any) -> dict[str, Tensor]:
        """The training step of lightly."""
        first, second = (self.neck(self.extract_feat(view)) for view in inputs)
        losses = (
            self.criterion(self.predictor(first), second.detach()),
            self.criterion(self.predictor(second), first.detach()),
        )
        return {'loss': sum(losses) / 2}


@MODELS.register_module()
class LightlyBarlowTwins(BaseAlgorithm):
    """lightly's projection head and loss on our backbone.

    Args:
        backbone: Config of the backbone.
        neck: Widths of the projection head.
        weight: Weight of the redundancy term.
        data_preprocessor: Config.
    """

    def __init__(self, backbone: dict, neck: dict, weight: float, data_preprocessor: dict) -> None:
        super().__init__(backbone, data_preprocessor)
        self.neck, self.criterion = BarlowTwinsProjectionHead(*_sizes(neck)), BarlowTwinsLoss(weight)

    def loss(self, inputs: list[Tensor], batch: Any) -> dict[str, Tensor]:
        """The training step of lightly."""
        return {'loss': self.criterion(*(self.neck(self.extract_feat(view)) for view in inputs))}


@MODELS.register_module()
class LightlyVICReg(BaseAlgorithm):
    """lightly's projection head and loss on our backbone.

    Args:
        backbone: Config of the backbone.
        neck: Widths of the projection head.
        data_preprocessor: Config.
    """

    def __init__(self, backbone: dict, neck: dict, data_preprocessor: dict) -> None:
        super().__init__(backbone, data_preprocessor)
        self.neck, self.criterion = VICRegProjectionHead(*_sizes(neck)), VICRegLoss()

    def loss(self, inputs: list[Tensor], batch: Any) -> dict[str, Tensor]:
        """The training step of lightly."""
        return {'loss': self.criterion(*(self.neck(self.extract_feat(view)) for view in inputs))}


@MODELS.register_module()
class LightlyDINO(_WithTeacher):
    """lightly's projection head, loss and momentum update on our backbone.

    Args:
        backbone: Config of the backbone.
        head: Widths of the projection head.
        momentum: Weight of the teacher's old value.
        teacher_temperature: Divides the teacher's scores.
        centre: ``momentum`` of the centre.
        data_preprocessor: Config.
    """

    def __init__(
        self,
        backbone: dict,
        head: dict,
        momentum: float,
        teacher_temperature: float,
        centre: dict,
        data_preprocessor: dict,
    ) -> None:
        super().__init__(backbone, data_preprocessor)
        sizes = (head['in_channels'], head['hidden_channels'], head['embedding_channels'], head['num_prototypes'])
        self._follow(DINOProjectionHead(*sizes, batch_norm=head['batch_norm']))
        self.momentum = momentum
        self.criterion = DINOLoss(
            head['num_prototypes'], teacher_temperature, teacher_temperature, 0, 0.1, centre['momentum']
        )

    def loss(self, inputs: list[Tensor], batch: Any) -> dict[str, Tensor]:
        """The training step of lightly: the first two views are the large ones."""
        self._move()
        seen = [self.neck(self.extract_feat(view)) for view in inputs]
        taught = [self._teach(view) for view in inputs[:2]]
        return {'loss': self.criterion(taught, seen, teacher_temp=self.criterion.teacher_temp)}


_TYPES = {
    'BYOL': LightlyBYOL,
    'SimSiam': LightlySimSiam,
    'BarlowTwins': LightlyBarlowTwins,
    'VICReg': LightlyVICReg,
    'DINO': LightlyDINO,
}


def adapt(cfg: Config) -> None:
    """Put lightly's method into a config of ours, with our numbers.

    Args:
        cfg: A config of one of the methods; changed in place.
    """
    cfg.model.type = _TYPES[cfg.model.type.__name__]
    for hook in cfg.custom_hooks:
        if 'attribute' in hook:
            hook['attribute'] = hook['attribute'].removeprefix('teacher.')
        if 'parameters' in hook:
            hook['parameters'] = hook['parameters'].replace('head.last', 'neck.last_layer')
