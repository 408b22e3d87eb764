"""Plain convolutional encoder, without skip connections."""

from collections.abc import Sequence

from torch import Tensor, nn

from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class ConvEncoder(nn.Module):
    """Stages of a convolution, batch norm, ReLU and max-pooling, each of which halves the sides of the image.

    Args:
        channels: Width of each stage, at least 1.
        in_channels: Channels of the images, at least 1.
        kernel_size: Side of the convolutions in pixels, odd, at least 1.

    Attributes:
        out_channels: Channels of the last stage.

    Source: the encoders of G-SimCLR's autoencoders (the released notebooks).
    """

    def __init__(self, channels: Sequence[int] = (32, 64, 128), in_channels: int = 3, kernel_size: int = 3) -> None:
        check_numbers(COUNT, channels=channels, in_channels=in_channels, kernel_size=kernel_size)
        super().__init__()
        self.out_channels: int = channels[-1]
        self.layers = nn.ModuleList()
        for width in channels:
            self.layers.append(conv_block(in_channels, width, kernel_size, nn.MaxPool2d(2)))
            in_channels = width

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of all stages.

        Args:
            images: Normalised, shape ``(B, in_channels, H, W)``.

        Returns:
            One ``(B, C, H', W')`` tensor per stage.
        """
        maps, features = [], images
        for layer in self.layers:
            features = layer(features)
            maps.append(features)
        return tuple(maps)


def conv_block(in_channels: int, out_channels: int, kernel_size: int, *more: nn.Module) -> nn.Sequential:
    """Convolution that keeps the size of a map, batch norm, ReLU, and further modules."""
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True), *more)
