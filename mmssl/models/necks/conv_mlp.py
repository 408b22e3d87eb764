"""Projection of every pixel."""

from torch import Tensor, nn

from mmssl.ranges import COUNT, check_numbers, check_width
from mmssl.registry import MODELS


@MODELS.register_module()
class ConvMLPNeck(nn.Module):
    """Two 1 x 1 convolutions with batch norm and ReLU in between: each pixel is embedded on its own.

    Args:
        in_channels: Width of the feature map, at least 1.
        hidden_channels: Width between the layers, at least 1.
        out_channels: Width of the embeddings, at least 1.
        batch_norm: Whether batch norm follows the first layer (PixPro) or not (DenseCL).

    Attributes:
        out_channels: Width of the embeddings.

    Source: PixPro, section 3.1 (Xie et al., CVPR 2021).
    """

    def __init__(
        self, in_channels: int, hidden_channels: int = 4096, out_channels: int = 256, batch_norm: bool = True
    ) -> None:
        check_numbers(COUNT, in_channels=in_channels, hidden_channels=hidden_channels, out_channels=out_channels)
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        norm = [nn.BatchNorm2d(hidden_channels)] if batch_norm else []
        first, second = nn.Conv2d(in_channels, hidden_channels, 1), nn.Conv2d(hidden_channels, out_channels, 1)
        self.layers = nn.Sequential(first, *norm, nn.ReLU(inplace=True), second)

    def forward(self, features: Tensor) -> Tensor:
        """Embed a map: ``(B, in_channels, H, W)`` to ``(B, out_channels, H, W)``, not normalised."""
        check_width(features.shape[1], self.in_channels, self, 'in_channels')
        return self.layers(features)
