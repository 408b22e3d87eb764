"""Small data sets and networks that evaluation is tried on."""

import numpy as np
import torch
from torch import Tensor, nn

from mmssl.datasets import ArraySource, EvalView, ImageDataset, MultiView, View
from mmssl.models import BaseAlgorithm, DataPreprocessor, ResNet


class Encoder(BaseAlgorithm):
    """A backbone that learns nothing."""

    def loss(self, inputs: list[Tensor], batch: object) -> dict[str, Tensor]:
        return {'loss': self.extract_feat(inputs[0]).mean()}


def encoder(channels: int = 3, dropout: float = 0.0) -> Encoder:
    """A small network; the same weights on every call."""
    torch.manual_seed(0)
    preprocessor = DataPreprocessor(mean=[127.5] * channels, std=[60.0] * channels)
    model = Encoder(ResNet(10, channels, 'small', base_channels=4), preprocessor)
    if dropout:
        model.backbone.layer1.add_module('dropout', nn.Dropout(dropout))
    return model


def images(count: int, side: int = 16, channels: int = 3, labelled: bool = True, dtype: str = 'uint8') -> ArraySource:
    """Noise around the brightness of one of three classes."""
    generator = np.random.default_rng(0)
    labels = np.arange(count) % 3
    noise = generator.integers(0, 100, (count, side, side, channels))
    array = (noise + 60 * labels[:, None, None, None]).astype(dtype)
    return ArraySource(array, labels if labelled else None)


def fixed(count: int, side: int = 16, channels: int = 3, **source: object) -> ImageDataset:
    """The evaluation view of every image."""
    return ImageDataset(images(count, side, channels, **source), EvalView(side, side), channels)


def pairs(count: int, side: int = 16, **source: object) -> ImageDataset:
    """Two random views of every image, and a third, smaller one."""
    large, small = View(side, scale=(0.5, 1.0), jitter=(0.4, 0.4, 0.4, 0.1)), View(side // 2)
    return ImageDataset(images(count, side, **source), MultiView([2, 1], [large, small]))
