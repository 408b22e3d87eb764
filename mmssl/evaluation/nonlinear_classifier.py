"""Classification with small networks on the stages of a frozen backbone."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mmssl.evaluation.linear_classifier import LinearClassifier, maps_of_blank_image, stage_maps
from mmssl.models.backbones.alexnet import convolution, fully_connected_layers
from mmssl.models.backbones.nin import block
from mmssl.models.necks.mlp import MLPNeck
from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import MODELS

_MOST = 2048  # channels of a hidden layer
_NIN = (192, 192, 192)  # channels of a block
_ALEXNET = (256, 13, 13)  # a map of conv4 or conv5


@MODELS.register_module()
class NonLinearClassifier(LinearClassifier):
    """Small network on each of some stages of a frozen backbone, all trained in one run.

    The kinds of networks are

    - ``'mlp'``: three fully connected layers on all values of the map, with 20 hidden channels per class, at most
      2,048;
    - ``'convolutions'``: the three convolutions of a block of a :class:`~mmssl.models.NIN`, the average over the map,
      and a linear layer;
    - ``'alexnet_conv5'``: what follows ``conv5`` in an :class:`~mmssl.models.AlexNet` at 224 pixels: max-pooling, two
      fully connected layers of 4,096, and a linear layer;
    - ``'alexnet_conv4'``: the same after another convolution of 3 x 3.

    Batch norm and ReLU follow all layers but the last. Weights start from ``N(0, 2 / fan_out)``.

    Args:
        num_classes: Number of classes, at least 1.
        classifiers: Kind of network, by stage; stages that are not named have none.
        image_size: Side of the images in pixels, at least 1.
        settings: Arguments of :class:`LinearClassifier`; always frozen, and without its batch norm.

    Raises:
        ValueError: Unknown kind, the backbone has no stages or lacks a named one, or the map of a stage does not fit.

    Source: RotNet, sections 4.1 and 4.2 (Gidaris et al., ICLR 2018); gidariss/FeatureLearningRotNet,
    ``NonLinearClassifier``.
    """

    keeps_features = False

    def __init__(
        self,
        backbone: nn.Module | dict,
        num_classes: int,
        classifiers: Mapping[str, str],
        image_size: int = 224,
        **settings: Any,
    ) -> None:
        check_numbers(COUNT, num_classes=num_classes, image_size=image_size)
        unknown = [kind for kind in classifiers.values() if kind not in _KINDS]
        if unknown:
            raise ValueError(
                f'model.classifiers names {unknown[0]!r}, but there are {list(_KINDS)}: name one of these.'
            )
        self.heads, self._kinds, self._image_size = tuple(classifiers), tuple(classifiers.values()), image_size
        super().__init__(backbone, num_classes, frozen=True, batch_norm=False, **settings)

    def _make_heads(self, batch_norm: bool) -> None:
        maps = maps_of_blank_image(self.backbone, self.heads, self._image_size)
        networks = [_KINDS[kind](part, self.num_classes) for kind, part in zip(self._kinds, maps)]
        self.classifier = nn.ModuleList(networks)
        for layer in self.classifier.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight, mode='fan_out', nonlinearity='relu')
            if isinstance(layer, nn.Linear) and layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def features(self, images: Tensor) -> list[Tensor]:
        """Feature maps of the named stages, ``(B, C, H', W')`` each."""
        return stage_maps(self.backbone, self.heads, images)

    def scores(self, features: list[Tensor]) -> Tensor:
        """Class scores of every stage: from :meth:`features` to ``(heads, B, num_classes)`` in float32."""
        return torch.stack([network(part).float() for part, network in zip(features, self.classifier)])


def _mlp(features: Tensor, num_classes: int) -> nn.Sequential:
    width = min(20 * num_classes, _MOST)
    layers = MLPNeck(features[0].numel(), width, num_classes, num_layers=3, bias=False, last_bias=True)
    return nn.Sequential(nn.Flatten(), layers)


def _convolutions(features: Tensor, num_classes: int) -> nn.Sequential:
    convolutions = block(features.shape[1], 3, _NIN)
    return nn.Sequential(convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(_NIN[-1], num_classes))


def _after_conv5(features: Tensor, num_classes: int) -> nn.Sequential:
    if features.shape[1:] != _ALEXNET:
        raise ValueError(
            f'The layers of AlexNet take maps of {_ALEXNET} (its conv4 and conv5 at 224 pixels), but those of a stage '
            f"in model.classifiers are {tuple(features.shape[1:])}: set its kind to 'mlp' or 'convolutions'."
        )
    layers = fully_connected_layers()
    width = layers[-2].num_features  # of the last batch norm
    return nn.Sequential(nn.MaxPool2d(3, stride=2), layers, nn.Linear(width, num_classes))


def _after_conv4(features: Tensor, num_classes: int) -> nn.Sequential:
    return nn.Sequential(convolution(features.shape[1], 256, 3, padding=1), _after_conv5(features, num_classes))


_KINDS: dict[str, Callable[[Tensor, int], nn.Module]] = {
    'mlp': _mlp,
    'convolutions': _convolutions,
    'alexnet_conv4': _after_conv4,
    'alexnet_conv5': _after_conv5,
}
