"""Feature pyramids."""

from collections.abc import Sequence

from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork

from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class FPN(nn.Module):
    """torchvision's feature pyramid with extra levels from strided convolutions, as anchor-free detectors use it.

    Args:
        in_channels: Widths of the input maps, the last ones of the backbone, at least 1.
        out_channels: Width of every level, at least 1.
        num_levels: Number of output levels, at least 1 and at least the number of input maps.

    Source: FPN (Lin et al., CVPR 2017); the extra levels as in FCOS (Tian et al., ICCV 2019).
    """

    def __init__(
        self, in_channels: Sequence[int] = (512, 1024, 2048), out_channels: int = 256, num_levels: int = 4
    ) -> None:
        check_numbers(COUNT, in_channels=in_channels, out_channels=out_channels, num_levels=num_levels)
        super().__init__()
        self.in_channels = tuple(in_channels)
        self.pyramid = FeaturePyramidNetwork(list(in_channels), out_channels)
        more = num_levels - len(self.in_channels)
        self.extra = nn.ModuleList(nn.Conv2d(out_channels, out_channels, 3, 2, 1) for _ in range(more))

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute levels of ``out_channels`` from the maps of the backbone, both finest first.

        Raises:
            ValueError: The maps have other widths than ``in_channels``.
        """
        chosen = maps[-len(self.in_channels) :]
        widths = tuple(features.shape[1] for features in chosen)
        if widths != self.in_channels:
            raise ValueError(
                f'The pyramid takes the last maps with {self.in_channels} channels, but the backbone gives {widths}: '
                f'set in_channels of the pyramid to the latter, or take a ResNet, a ConvNeXt or a ViT.'
            )
        taken = {str(place): features for place, features in enumerate(chosen)}
        levels = list(self.pyramid(taken).values())
        for convolution in self.extra:
            levels.append(convolution(levels[-1]))
        return tuple(levels)
