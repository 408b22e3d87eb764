"""Network in Network with batch norm, for images of 32 pixels."""

from collections import OrderedDict

from torch import Tensor, nn

from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import MODELS

_WIDTH = 192


@MODELS.register_module()
class NIN(nn.Module):
    """Blocks of three convolutions, of which the second and third look at one pixel; batch norm after each.

    The first two blocks halve the sides of their maps at their end. Weights start from PyTorch's defaults, as in the
    authors' code.

    Args:
        in_channels: Channels of the images, at least 1.
        num_blocks: Number of blocks, 3 or more; RotNet's has 4.

    Attributes:
        out_channels: Width of the features, 192.
        stage_names: Names of the maps that :meth:`stages` returns: ``'block1'`` and so on.

    Raises:
        ValueError: There are fewer than three blocks.

    Source: gidariss/FeatureLearningRotNet, ``architectures/NetworkInNetwork.py`` (Lin et al., ICLR 2014).
    """

    def __init__(self, in_channels: int = 3, num_blocks: int = 4) -> None:
        check_numbers(COUNT, in_channels=in_channels)
        super().__init__()
        if num_blocks < 3:
            raise ValueError(f'A NIN of {num_blocks} blocks: set num_blocks to 3 or more.')
        self.stage_names = tuple(f'block{number}' for number in range(1, num_blocks + 1))
        self.out_channels = _WIDTH
        self.in_channels = in_channels
        self.block1 = block(in_channels, 5, (_WIDTH, 160, 96), nn.MaxPool2d(3, stride=2, padding=1))
        self.block2 = block(96, 5, (_WIDTH,) * 3, nn.AvgPool2d(3, stride=2, padding=1))
        for name in self.stage_names[2:]:
            self.add_module(name, block(_WIDTH, 3, (_WIDTH,) * 3))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of all blocks; the same as :meth:`stages`."""
        return self.stages(images)

    def stages(self, images: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of all blocks, after their pooling.

        Args:
            images: Normalised, shape ``(B, in_channels, H, W)``.

        Returns:
            One ``(B, C, H', W')`` tensor per block, in the order of ``stage_names``.
        """
        maps = []
        for name in self.stage_names:
            images = getattr(self, name)(images)
            maps.append(images)
        return tuple(maps)


def block(in_channels: int, kernel: int, widths: tuple[int, int, int], pool: nn.Module | None = None) -> nn.Sequential:
    """Three convolutions without bias, each with batch norm and ReLU; the second and third have kernels of 1 x 1.

    Args:
        in_channels: Channels of the input.
        kernel: Side of the first kernel, odd.
        widths: Channels of the three outputs.
        pool: What follows.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (width, side) in enumerate(zip(widths, (kernel, 1, 1)), 1):
        layer = nn.Conv2d(in_channels, width, side, padding=side // 2, bias=False)
        layers[f'conv{number}'] = nn.Sequential(layer, nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        in_channels = width
    if pool is not None:
        layers['pool'] = pool
    return nn.Sequential(layers)
