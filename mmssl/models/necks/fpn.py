"""Feature pyramids."""

from collections.abc import Sequence

from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork

from mmssl.registry import MODELS


@MODELS.register_module()
class FPN(nn.Module):
    """torchvision's feature pyramid, with further levels by strided convolutions, as detectors without anchors use it.

    Args:
        in_channels: Widths of the maps that it takes, the last ones of the backbone.
        out_channels: Width of every level.
        num_levels: Levels that it gives, at least as many as it takes.

    Source: FPN (Lin et al., CVPR 2017); the further levels as in FCOS (Tian et al., ICCV 2019).
    """

    def __init__(
        self, in_channels: Sequence[int] = (512, 1024, 2048), out_channels: int = 256, num_levels: int = 4
    ) -> None:
        super().__init__()
        self.in_channels = tuple(in_channels)
        self.pyramid = FeaturePyramidNetwork(list(in_channels), out_channels)
        more = num_levels - len(self.in_channels)
        self.extra = nn.ModuleList(nn.Conv2d(out_channels, out_channels, 3, 2, 1) for _ in range(more))

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps of the backbone, the finest first, to levels of ``out_channels``, the finest first."""
        taken = {str(place): features for place, features in enumerate(maps[-len(self.in_channels) :])}
        levels = list(self.pyramid(taken).values())
        for convolution in self.extra:
            levels.append(convolution(levels[-1]))
        return tuple(levels)
