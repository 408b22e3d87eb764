"""Decoder from a feature map to the image."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import interpolate

from mmssl.models.backbones.conv_encoder import conv_block
from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class ConvDecoder(nn.Module):
    """Blocks of a convolution, batch norm, ReLU and upsampling, and a last convolution that gives the pixels.

    The last block gives a map of the size of the image, and each block before it one with half the sides of the next:
    whatever the size of the feature map, it grows to that of the image.

    Args:
        in_channels: Channels of the feature map, at least 1.
        channels: Width of each block, one per halving of the sides in the backbone, at least 1.
        image_channels: Channels of the images, at least 1.
        kernel_size: Side of the convolutions in pixels, odd, at least 1.
        sigmoid: Whether the pixels lie between 0 and 1; the images must then be normalised to these values.

    Source: the decoders of G-SimCLR's autoencoders (the released notebooks).
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int] = (128, 64, 32),
        image_channels: int = 3,
        kernel_size: int = 3,
        sigmoid: bool = False,
    ) -> None:
        check_numbers(
            COUNT, in_channels=in_channels, channels=channels, image_channels=image_channels, kernel_size=kernel_size
        )
        super().__init__()
        self.in_channels, self.image_channels, self.sigmoid = in_channels, image_channels, sigmoid
        widths = [in_channels, *channels]
        self.blocks = nn.ModuleList(conv_block(*pair, kernel_size) for pair in zip(widths, channels))
        self.pixels = nn.Conv2d(widths[-1], image_channels, kernel_size, padding=kernel_size // 2)

    def forward(self, maps: Tensor, height: int, width: int) -> Tensor:
        """Decode feature maps.

        Args:
            maps: Shape ``(B, in_channels, H', W')``.
            height: Height of the images.
            width: Width of the images.

        Returns:
            Shape ``(B, image_channels, height, width)``.
        """
        for left, block in zip(reversed(range(len(self.blocks))), self.blocks):
            size = (-(-height // 2**left), -(-width // 2**left))
            maps = interpolate(block(maps), size)  # the nearest pixels
        pixels = self.pixels(maps)
        return pixels.sigmoid() if self.sigmoid else pixels
