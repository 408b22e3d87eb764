"""Convolutions that keep the size of an image, for networks that find objects."""

from torch import Tensor, nn

from mmssl.models.initial import start_weights
from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class SlotCNN(nn.Module):
    """Four 5 x 5 convolutions with stride 1, ReLU after the first three: one feature vector per pixel.

    Args:
        channels: Width of every layer, at least 1.
        in_channels: Channels of the images, at least 1.

    Attributes:
        out_channels: Width of every layer.

    Source: jsikyoon/OCRL, ``ocrs/common/networks.py``.
    """

    def __init__(self, channels: int = 64, in_channels: int = 3) -> None:
        check_numbers(COUNT, channels=channels, in_channels=in_channels)
        super().__init__()
        self.out_channels = channels
        self.layers = nn.Sequential()
        for place in range(4):
            self.layers.append(nn.Conv2d(channels if place else in_channels, channels, 5, padding=2))
            if place < 3:
                self.layers.append(nn.ReLU())
        start_weights(self)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """One map of the size of the images: ``(B, in_channels, H, W)`` to ``(B, channels, H, W)``."""
        return (self.layers(images),)
