"""PixPro's pixel propagation module, between projection and loss."""

from torch import Tensor, nn

from mmssl.functional import propagate_pixels
from mmssl.ranges import COUNT, POSITIVE, check_numbers
from mmssl.registry import MODELS


@MODELS.register_module()
class PixelPropagation(nn.Module):
    """Replace each pixel by a mixture of the transformed pixels that are similar to it.

    Args:
        channels: Width of the embeddings, at least 1.
        num_layers: Layers of the transform: 0 for none, 1 for a 1 x 1 convolution, 2 for two with batch norm and ReLU
            in between.
        sharpness: Exponent of the similarities, above 0.

    Raises:
        ValueError: ``num_layers`` is not 0, 1 or 2.

    Source: PixPro, section 3.2 (Xie et al., CVPR 2021).
    """

    def __init__(self, channels: int = 256, num_layers: int = 1, sharpness: float = 2.0) -> None:
        check_numbers(COUNT, channels=channels)
        check_numbers(POSITIVE, sharpness=sharpness)
        super().__init__()
        if num_layers not in (0, 1, 2):
            raise ValueError(f'PixelPropagation with {num_layers} layers: set num_layers to 0, 1 or 2.')
        layers: list[nn.Module] = [nn.Conv2d(channels, channels, 1) for _ in range(num_layers)]
        if num_layers == 2:
            layers[1:1] = [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        self.transform, self.sharpness = nn.Sequential(*layers), sharpness

    def forward(self, features: Tensor) -> Tensor:
        """Propagate: ``(B, channels, H, W)`` to the same shape, not normalised."""
        return propagate_pixels(features, self.transform(features), self.sharpness)
