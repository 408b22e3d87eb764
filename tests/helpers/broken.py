"""One sound algorithm, and broken ones that differ from it by one fault; check_algorithm must find each.

They stand in a module of their own, since other processes import them.
"""

from typing import Any

import torch
from torch import Tensor, nn

from mmssl.functional import gather
from mmssl.models import BaseAlgorithm, ResNet
from mmssl.models.memories import BaseMemory
from mmssl.registry import MODELS


class Mean(BaseMemory):
    """Moving average of the rows of all processes."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer('mean', torch.zeros(dim))
        self.register_buffer('count', torch.zeros(()))
        self.staged: list[Tensor] = []

    def stage(self, rows: Tensor) -> None:
        self.staged.append(rows.detach())

    def commit(self) -> None:
        rows = self.gathered(torch.cat(self.staged))
        self.mean.lerp_(rows.mean(dim=0), 0.1)
        self.count += len(rows)
        self.staged.clear()

    def gathered(self, rows: Tensor) -> Tensor:
        return gather(rows)

    def discard(self) -> None:
        self.staged.clear()


class OfThisProcess(Mean):
    def gathered(self, rows: Tensor) -> Tensor:
        return rows


class DiscardsNothing(Mean):
    def discard(self) -> None:
        pass


class CountsWhatItDiscards(Mean):
    def discard(self) -> None:
        self.count += 1
        self.staged.clear()


@MODELS.register_module()
class Sound(BaseAlgorithm):
    """Two views agree, and their mean embedding stays away from the mean of all before."""

    memory: type[Mean] = Mean

    def __init__(self, backbone: Any, **base: Any) -> None:
        super().__init__(backbone, **base)
        self.neck, self.average = nn.Linear(64, 8), self.memory(8)

    def loss(self, inputs: list[Tensor], batch: Any) -> dict[str, Tensor]:
        first, second = (self.neck(self.extract_feat(view)) for view in inputs)
        self.average.stage(second)
        return {'loss': (first - second).square().mean() + 0.1 * (first * self.average.mean).mean()}


@MODELS.register_module()
class WritesInForward(Sound):
    def loss(self, inputs: list[Tensor], batch: Any) -> dict[str, Tensor]:
        losses = super().loss(inputs, batch)
        self.average.count += 1
        return losses


@MODELS.register_module()
class UnusedParameter(Sound):
    def __init__(self, backbone: Any, **base: Any) -> None:
        super().__init__(backbone, **base)
        self.forgotten = nn.Linear(8, 8, bias=False)


@MODELS.register_module()
class KeepsAnAttribute(Sound):
    last = 0.0

    def loss(self, inputs: list[Tensor], batch: Any) -> dict[str, Tensor]:
        losses = super().loss(inputs, batch)
        factor, self.last = 1 + 0.1 * self.last, losses['loss'].item()
        return {'loss': losses['loss'] * factor}


@MODELS.register_module()
class DrawsPerProcess(Sound):
    def loss(self, inputs: list[Tensor], batch: Any) -> dict[str, Tensor]:
        losses = super().loss(inputs, batch)
        return {'loss': losses['loss'] * torch.rand(())}


@MODELS.register_module()
class Infinite(Sound):
    def loss(self, inputs: list[Tensor], batch: Any) -> dict[str, Tensor]:
        return {'loss': super().loss(inputs, batch)['loss'] / 0}


@MODELS.register_module()
class LoadsHalf(Sound):
    def load_state_dict(self, state_dict: Any, **settings: Any) -> Any:
        kept = {name: value for name, value in state_dict.items() if 'average' not in name}
        return super().load_state_dict(kept, strict=False)


class DoubledResNet(ResNet):
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(2 * features for features in super().forward(images))


@MODELS.register_module()
class OtherFeatures(Sound):
    def __init__(self, backbone: Any, **base: Any) -> None:
        super().__init__(DoubledResNet(depth=10, stem='small', base_channels=8), **base)


@MODELS.register_module()
class GathersNothing(Sound):
    memory = OfThisProcess


@MODELS.register_module()
class KeepsWhatIsDiscarded(Sound):
    memory = DiscardsNothing


@MODELS.register_module()
class CountsDiscarded(Sound):
    memory = CountsWhatItDiscards
