"""Residual networks on clips: R3D with convolutions in space and time, R(2+1)D with separate ones."""

from collections.abc import Sequence

from torch import Tensor, nn

from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import MODELS

_EPSILON = 1e-3  # of all batch norms, as in Caffe2's models, from which the reference code took it
_STEM_MIDDLE = 45  # width between the two convolutions of R(2+1)D's stem


def _norm(channels: int) -> nn.BatchNorm3d:
    return nn.BatchNorm3d(channels, eps=_EPSILON)


class Conv3d(nn.Module):
    """A convolution in space and time, without batch norm of its own.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Sides of the kernel: time, height, width.
        stride: Steps in time and in space.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: tuple[int, int, int], stride: tuple[int, int]
    ) -> None:
        super().__init__()
        padding = tuple(side // 2 for side in kernel)
        self.conv = nn.Conv3d(in_channels, out_channels, kernel, (stride[0], stride[1], stride[1]), padding, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Convolve maps ``(B, C, T, H, W)``."""
        return self.conv(maps)


class Conv2Plus1d(nn.Module):
    """A convolution in space, batch norm, ReLU, and a convolution in time: about as many weights as one in both.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Sides of the kernel: time, height, width.
        stride: Steps in time and in space.
        middle: Channels between the two; by default as in the paper, for a kernel of 3 x 3 x 3.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int, int],
        stride: tuple[int, int],
        middle: int | None = None,
    ) -> None:
        super().__init__()
        middle = middle or int(3 * 9 * in_channels * out_channels / (9 * in_channels + 3 * out_channels))
        time, height, width = kernel
        steps, padding = (1, stride[1], stride[1]), (0, height // 2, width // 2)
        self.conv_s = nn.Conv3d(in_channels, middle, (1, height, width), steps, padding, bias=False)
        self.bn_s = _norm(middle)
        self.relu = nn.ReLU(inplace=True)
        steps, padding = (stride[0], 1, 1), (time // 2, 0, 0)
        self.conv_t = nn.Conv3d(middle, out_channels, (time, 1, 1), steps, padding, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Convolve maps ``(B, C, T, H, W)``."""
        return self.conv_t(self.relu(self.bn_s(self.conv_s(maps))))


class Block3d(nn.Module):
    """Two convolutions with batch norm, and a shortcut.

    Args:
        convolution: Class of the convolutions.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Steps of the first convolution in time and in space.
    """

    def __init__(
        self,
        convolution: type[Conv3d] | type[Conv2Plus1d],
        in_channels: int,
        out_channels: int,
        stride: tuple[int, int],
    ) -> None:
        super().__init__()
        self.conv1 = convolution(in_channels, out_channels, (3, 3, 3), stride)
        self.bn1 = _norm(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = convolution(out_channels, out_channels, (3, 3, 3), (1, 1))
        self.bn2 = _norm(out_channels)
        self.has_shortcut = stride != (1, 1) or in_channels != out_channels
        if self.has_shortcut:
            self.downsample = Conv3d(in_channels, out_channels, (1, 1, 1), stride)
            self.downsample_bn = _norm(out_channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps ``(B, C, T, H, W)`` after the block."""
        shortcut = self.downsample_bn(self.downsample(maps)) if self.has_shortcut else maps
        maps = self.relu(self.bn1(self.conv1(maps)))
        return self.relu(self.bn2(self.conv2(maps)) + shortcut)


@MODELS.register_module()
class R3D(nn.Module):
    """R3D: a ResNet whose convolutions go over space and time.

    The stem has stride 2 in space and no pooling. With the default strides, the maps of the last stage have an eighth
    of the sides of the frames and an eighth of their number; ``spatial_strides=(1, 2, 2, 2)``, for classification, has
    the same weights. The keys are those of microsoft/CtP. (torchvision's video ResNets differ: another epsilon of batch
    norm, other keys, and always the strides for classification.)

    Args:
        channels: Width of each stage, at least 1.
        blocks: Blocks per stage, at least 1; 2 in a network of depth 18.
        in_channels: Channels of the frames, at least 1.
        stem_channels: Width of the stem, at least 1.
        spatial_strides: Step of each stage in space, at least 1.
        temporal_strides: Step of each stage in time, at least 1.

    Attributes:
        out_channels: Channels of the last stage.
        stage_names: Names of the maps that :meth:`stages` returns.

    Raises:
        ValueError: There are not as many strides as stages.

    Source: Tran et al., CVPR 2018; microsoft/CtP, ``r3d.py``.
    """

    convolution: type[Conv3d] | type[Conv2Plus1d] = Conv3d

    def __init__(
        self,
        channels: Sequence[int] = (64, 128, 256, 512),
        blocks: int = 2,
        in_channels: int = 3,
        stem_channels: int = 64,
        spatial_strides: Sequence[int] = (1, 2, 2, 1),
        temporal_strides: Sequence[int] = (1, 2, 2, 2),
    ) -> None:
        check_numbers(
            COUNT,
            channels=channels,
            blocks=blocks,
            in_channels=in_channels,
            stem_channels=stem_channels,
            spatial_strides=spatial_strides,
            temporal_strides=temporal_strides,
        )
        super().__init__()
        strides = list(zip(temporal_strides, spatial_strides))
        if not len(channels) == len(spatial_strides) == len(temporal_strides):
            raise ValueError(
                f'{len(channels)} stages, {len(spatial_strides)} spatial_strides and {len(temporal_strides)} '
                'temporal_strides: give one stride of each kind per stage.'
            )
        self.stem = self._make_stem(in_channels, stem_channels)
        width = stem_channels
        for number, (stride, own) in enumerate(zip(strides, channels), 1):
            inputs = [width, *[own] * (blocks - 1)]
            steps = [stride, *[(1, 1)] * (blocks - 1)]
            parts = [Block3d(self.convolution, before, own, step) for before, step in zip(inputs, steps)]
            self.add_module(f'layer{number}', nn.Sequential(*parts))
            width = own
        self.out_channels: int = width
        self.num_stages = len(channels)
        self.stage_names = ('stem', *(f'stage{number}' for number in range(1, self.num_stages + 1)))
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')

    def _make_stem(self, in_channels: int, channels: int) -> nn.Module:
        stem = Conv3d(in_channels, channels, (3, 7, 7), (1, 2))
        stem.add_module('bn', _norm(channels))
        return stem

    def _after_stem(self, clips: Tensor) -> Tensor:
        return self.stem.bn(self.stem(clips)).relu_()

    def forward(self, clips: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of all stages.

        Args:
            clips: Normalised, shape ``(B, in_channels, T, H, W)``.

        Returns:
            One ``(B, C, T', H', W')`` tensor per stage.
        """
        return self.stages(clips)[1:]

    def stages(self, clips: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the stem and of all stages.

        Args:
            clips: Normalised, shape ``(B, in_channels, T, H, W)``.

        Returns:
            ``(B, C, T', H', W')`` tensors, in the order of ``stage_names``.

        Raises:
            ValueError: These are images, and no clips.
        """
        if clips.dim() != 5:
            raise ValueError(
                f'{type(self).__name__} takes clips (B, C, T, H, W), but gets {tuple(clips.shape)}: give it a '
                'ClipDataset, or images to a ResNet.'
            )
        maps = [self._after_stem(clips)]
        for number in range(1, self.num_stages + 1):
            maps.append(self.get_submodule(f'layer{number}')(maps[-1]))
        return tuple(maps)


@MODELS.register_module()
class R2Plus1D(R3D):
    """R(2+1)D: :class:`R3D` with each convolution split into one in space and one in time, but for the shortcuts.

    Args and attributes are those of :class:`R3D`.

    Source: Tran et al., CVPR 2018; microsoft/CtP, ``r3d.py``.
    """

    convolution = Conv2Plus1d

    def _make_stem(self, in_channels: int, channels: int) -> nn.Module:
        stem = Conv2Plus1d(in_channels, channels, (3, 7, 7), (1, 2), _STEM_MIDDLE)
        stem.add_module('bn_t', _norm(channels))
        return stem

    def _after_stem(self, clips: Tensor) -> Tensor:
        return self.stem.bn_t(self.stem(clips)).relu_()
