"""torchvision's ResNets with configurable stem, width, output stages and freezing."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.models import resnet as torchvision_resnet

from mmssl.ranges import COUNT, INDEX, check_numbers
from mmssl.registry import MODELS

_Block = type[torchvision_resnet.BasicBlock] | type[torchvision_resnet.Bottleneck]

ARCHITECTURES: dict[int, tuple[_Block, tuple[int, int, int, int]]] = {
    10: (torchvision_resnet.BasicBlock, (1, 1, 1, 1)),
    18: (torchvision_resnet.BasicBlock, (2, 2, 2, 2)),
    34: (torchvision_resnet.BasicBlock, (3, 4, 6, 3)),
    50: (torchvision_resnet.Bottleneck, (3, 4, 6, 3)),
    101: (torchvision_resnet.Bottleneck, (3, 4, 23, 3)),
    152: (torchvision_resnet.Bottleneck, (3, 8, 36, 3)),
}


@MODELS.register_module()
class ResNet(torchvision_resnet.ResNet):
    """A ResNet without classifier; it has torchvision's keys, so its weights load there unchanged.

    Args:
        depth: 10, 18, 34, 50, 101 or 152.
        in_channels: Channels of the images, at least 1.
        stem: ``'imagenet'`` (7x7 with stride 2, then max-pooling) or ``'small'`` (3x3 with stride 1 and no pooling,
            for images of up to 64 pixels).
        base_channels: Width of the first stage, at least 1; 64 is torchvision's, 128 and 256 are SwAV's w2 and w4.
        out_indices: Indices, from 0, of the stages that ``forward`` returns.
        frozen_stages: Number of stages that are frozen, with the stem, and stay in eval mode, at least 0; 0 for the
            stem alone, -1 for nothing.
        zero_init_residual: Whether every block starts as the identity.
        channels_last: Whether weights and maps lie channels last in memory, which is faster on CPUs. Shapes and keys
            stay; results differ by rounding.

    Attributes:
        out_channels: Channels of the last stage.
        stage_names: Names of the maps that :meth:`stages` returns.

    Raises:
        ValueError: Unknown depth or stem.
    """

    stage_names = ('stem', 'stage1', 'stage2', 'stage3', 'stage4')

    def __init__(
        self,
        depth: int = 50,
        in_channels: int = 3,
        stem: Literal['imagenet', 'small'] = 'imagenet',
        base_channels: int = 64,
        out_indices: Sequence[int] = (3,),
        frozen_stages: int = -1,
        zero_init_residual: bool = False,
        channels_last: bool = False,
    ) -> None:
        check_numbers(COUNT, in_channels=in_channels, base_channels=base_channels)
        if frozen_stages != -1:
            check_numbers(INDEX, frozen_stages=frozen_stages)
        if depth not in ARCHITECTURES:
            raise ValueError(
                f'ResNet of depth {depth}, but there are depths {sorted(ARCHITECTURES)}: choose one of them.'
            )
        if stem not in ('imagenet', 'small'):
            raise ValueError(f"stem={stem!r}, but there are 'imagenet' and 'small': choose one of them.")
        nn.Module.__init__(self)  # torchvision's own __init__ fixes the width at 64
        block, layers = ARCHITECTURES[depth]
        self._norm_layer, self.groups, self.base_width, self.dilation = nn.BatchNorm2d, 1, 64, 1
        self.inplanes = base_channels
        self.in_channels = in_channels
        self._make_stem(in_channels, base_channels, stem)
        self.layer1 = self._make_layer(block, base_channels, layers[0])
        self.layer2 = self._make_layer(block, base_channels * 2, layers[1], stride=2)
        self.layer3 = self._make_layer(block, base_channels * 4, layers[2], stride=2)
        self.layer4 = self._make_layer(block, base_channels * 8, layers[3], stride=2)
        self.out_indices, self.frozen_stages = tuple(out_indices), frozen_stages
        self.out_channels: int = self.inplanes
        _initialise(self, zero_init_residual)
        self._freeze()
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.to(memory_format=self.memory_format)

    def _make_stem(self, in_channels: int, channels: int, stem: str) -> None:
        small = stem == 'small'
        kernel, stride, padding = (3, 1, 1) if small else (7, 2, 3)
        self.conv1 = nn.Conv2d(in_channels, channels, kernel, stride, padding, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(kernel_size=3, stride=2, padding=1)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the chosen stages.

        Args:
            images: Normalised, shape ``(B, in_channels, H, W)``.

        Returns:
            One ``(B, C, H', W')`` tensor for each of ``out_indices``.
        """
        stages = self.stages(images)[1:]
        return tuple(stages[index] for index in self.out_indices)

    def stages(self, images: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the stem, before its max-pooling, and of all four stages.

        Args:
            images: Normalised, shape ``(B, in_channels, H, W)``.

        Returns:
            Five ``(B, C, H', W')`` tensors, in the order of ``stage_names``.
        """
        images = images.contiguous(memory_format=self.memory_format)
        stages = [self.relu(self.bn1(self.conv1(images)))]
        features = self.maxpool(stages[0])
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            features = layer(features)
            stages.append(features)
        return tuple(stages)

    def train(self, mode: bool = True) -> 'ResNet':
        """Switch the mode; frozen stages stay in eval mode."""
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        return self

    def _frozen_modules(self) -> list[nn.Module]:
        stages = [self.layer1, self.layer2, self.layer3, self.layer4][: max(self.frozen_stages, 0)]
        return [self.conv1, self.bn1, *stages] if self.frozen_stages >= 0 else []

    def _freeze(self) -> None:
        for module in self._frozen_modules():
            module.requires_grad_(False)


def _initialise(network: nn.Module, zero_init_residual: bool) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
        elif isinstance(module, torchvision_resnet.BasicBlock) and zero_init_residual:
            nn.init.zeros_(module.bn2.weight)
        elif isinstance(module, torchvision_resnet.Bottleneck) and zero_init_residual:
            nn.init.zeros_(module.bn3.weight)
