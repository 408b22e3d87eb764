"""RotNet's AlexNet: batch norm after every layer, no dropout."""

from torch import Tensor, nn

from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import MODELS

_CELLS, _WIDTH = 6, 4096  # side of the map that the fully connected layers take, and their width
_SMALLEST = 31  # pixels, of which the last convolution gets a single place


@MODELS.register_module()
class AlexNet(nn.Module):
    """Five convolutions and two fully connected layers, all with batch norm.

    Features of whole images are the output of the fully connected layers, or, without these, the average over the map
    of the last convolution. Weights start from PyTorch's defaults, as in the authors' code.

    Args:
        in_channels: Channels of the images, at least 1.
        fully_connected: Whether to have the two fully connected layers, which take images of 224 pixels. Without them,
            images may have any size of at least 31 pixels.

    Attributes:
        out_channels: Width of the features: 4,096, or 256 without the fully connected layers.
        stage_names: Names of the maps that :meth:`stages` returns.

    Source: gidariss/FeatureLearningRotNet, ``architectures/AlexNet.py`` (Krizhevsky et al., NeurIPS 2012, in one column
    and with batch norm instead of local response normalisation and dropout).
    """

    stage_names = ('conv1', 'conv2', 'conv3', 'conv4', 'conv5')

    def __init__(self, in_channels: int = 3, fully_connected: bool = True) -> None:
        check_numbers(COUNT, in_channels=in_channels)
        super().__init__()
        self.in_channels = in_channels
        self.conv1 = convolution(in_channels, 64, 11, stride=4, padding=2)
        self.conv2 = convolution(64, 192, 5, padding=2)
        self.conv3 = convolution(192, 384, 3, padding=1)
        self.conv4 = convolution(384, 256, 3, padding=1)
        self.conv5 = convolution(256, 256, 3, padding=1)
        self.pool = nn.MaxPool2d(3, stride=2)
        self.fc = fully_connected_layers() if fully_connected else None
        self.out_channels = _WIDTH if fully_connected else 256

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the five convolutions; the same as :meth:`stages`."""
        return self.stages(images)

    def stages(self, images: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the five convolutions, before any pooling that follows them.

        Args:
            images: Normalised, shape ``(B, in_channels, H, W)``.

        Returns:
            Five ``(B, C, H', W')`` tensors, in the order of ``stage_names``.

        Raises:
            ValueError: The images are smaller than 31 pixels.
        """
        if min(images.shape[-2:]) < _SMALLEST:
            raise ValueError(
                f'AlexNet gets images of {images.shape[-2]} x {images.shape[-1]} pixels, but needs {_SMALLEST} or more '
                'per side: give larger views, or set model.backbone to a NIN or a ResNet with stem="small".'
            )
        first = self.conv1(images)
        second = self.conv2(self.pool(first))
        third = self.conv3(self.pool(second))
        fourth = self.conv4(third)
        return first, second, third, fourth, self.conv5(fourth)

    def pooled(self, images: Tensor) -> Tensor:
        """Features of whole images.

        Args:
            images: Normalised, shape ``(B, in_channels, H, W)``; 224 pixels per side with fully connected layers.

        Returns:
            Shape ``(B, out_channels)``.

        Raises:
            ValueError: The images are smaller than 31 pixels, or do not fit the fully connected layers.
        """
        return self._whole(self.stages(images)[-1])

    def pooled_stages(self, images: Tensor) -> list[Tensor]:
        """Features of whole images of all stages: averages over the maps, and the output of fully connected layers.

        Args:
            images: As for :meth:`pooled`.

        Returns:
            One tensor ``(B, C)`` per stage, and one more with fully connected layers.
        """
        maps = self.stages(images)
        averages = [stage.mean(dim=(2, 3)) for stage in maps]
        return averages if self.fc is None else [*averages, self._whole(maps[-1])]

    def _whole(self, last: Tensor) -> Tensor:
        if self.fc is None:
            return last.mean(dim=(2, 3))
        pooled = self.pool(last)
        if pooled.shape[-2:] != (_CELLS, _CELLS):
            raise ValueError(
                f'The fully connected layers of AlexNet take {_CELLS} x {_CELLS} places, as of 224 x 224 pixels, but '
                f'these images have {pooled.shape[-2]} x {pooled.shape[-1]}: give views with size=224, or set '
                'model.backbone.fully_connected=False.'
            )
        return self.fc(pooled)


def convolution(in_channels: int, out_channels: int, kernel: int, **settings: int) -> nn.Sequential:
    """A convolution with bias, batch norm and ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Side of the kernel.
        settings: Stride and padding.
    """
    layer = nn.Conv2d(in_channels, out_channels, kernel, **settings)
    return nn.Sequential(layer, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


def fully_connected_layers() -> nn.Sequential:
    """Two layers of 4,096 without bias on ``(B, 256, 6, 6)`` maps, each with batch norm and ReLU."""
    layers: list[nn.Module] = [nn.Flatten()]
    for width in (256 * _CELLS * _CELLS, _WIDTH):
        layers += [nn.Linear(width, _WIDTH, bias=False), nn.BatchNorm1d(_WIDTH), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
