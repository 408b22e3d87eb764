"""Classes of other packages that load a backbone's weights, chosen from the weights alone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn
from torchvision.models import ResNet
from torchvision.models.resnet import BasicBlock, Bottleneck

from mmssl.dependencies import require, require_transfer

Target = Literal['torchvision', 'timm', 'mmdet', 'mmseg']
TARGETS: tuple[Target, ...] = ('torchvision', 'timm', 'mmdet', 'mmseg')
OPENMMLAB: dict[Target, str] = {'mmdet': 'MMDetection', 'mmseg': 'MMSegmentation'}
_MM_DEPTHS = {
    ((2, 2, 2, 2), False): 18,
    ((3, 4, 6, 3), False): 34,
    ((3, 4, 6, 3), True): 50,
    ((3, 4, 23, 3), True): 101,
    ((3, 8, 36, 3), True): 152,
}
_WIDTH = 64


@dataclass(frozen=True)
class Architecture:
    """Architecture of a ResNet, as far as its weights show it.

    Attributes:
        blocks: Number of blocks in each of the four stages.
        bottleneck: Whether the blocks are bottlenecks (three convolutions) or basic blocks (two).
        in_channels: Channels of the images.
        base_channels: Width of the first stage; 64 in torchvision's ResNets.
        stem: ``'imagenet'`` (7x7 with stride 2, then max-pooling) or ``'small'`` (3x3 with stride 1 and no pooling).
    """

    blocks: tuple[int, int, int, int]
    bottleneck: bool
    in_channels: int
    base_channels: int
    stem: Literal['imagenet', 'small']


def architecture_of(state_dict: Mapping[str, Tensor]) -> Architecture:
    """Derive a ResNet's architecture from its weights.

    Args:
        state_dict: Tensors under torchvision's keys, without prefix.

    Returns:
        The architecture.

    Raises:
        ValueError: These are not the keys of a ResNet.
    """
    stem = state_dict.get('conv1.weight')
    places = [re.match(r'layer([1-4])\.(\d+)\.', key) for key in state_dict]
    stages = [{place[2] for place in places if place and place[1] == stage} for stage in '1234']
    if stem is None or not all(stages):
        raise ValueError(
            "These weights are not a ResNet's (conv1 and layer1 to layer4 are expected): only backbones of type ResNet "
            'are exported; a timm model loads its own weights without conversion.'
        )
    width, channels, kernel, _ = stem.shape
    first, second, third, fourth = map(len, stages)
    return Architecture(
        blocks=(first, second, third, fourth),
        bottleneck='layer1.0.conv3.weight' in state_dict,
        in_channels=channels,
        base_channels=width,
        stem='small' if kernel == 3 else 'imagenet',
    )


def plain_network(architecture: Architecture, target: Target) -> nn.Module:
    """Build the plain class of a target, without classifier.

    torchvision's and timm's classes turn ``(B, C, H, W)`` images into ``(B, D)`` features, those of MMDetection and
    MMSegmentation into a tuple of four maps. If the constructor lacks an argument for a part (channels and stem in
    torchvision), that part is replaced.

    Args:
        architecture: Architecture of the weights.
        target: The package.

    Returns:
        The network, with random weights.

    Raises:
        ImportError: The package is missing.
        ValueError: There is no such target, or its ResNet does not support this architecture.
    """
    if target == 'torchvision':
        return _torchvision_resnet(architecture)
    if target == 'timm':
        return _timm_resnet(architecture)
    if target in OPENMMLAB:
        settings = mm_settings(architecture, target)
        return require_transfer(target).models.backbones.ResNet(**settings, norm_eval=False)
    raise ValueError(f'No export to {target!r}: choose one of {", ".join(TARGETS)}.')


def _torchvision_resnet(architecture: Architecture) -> nn.Module:
    block, width = Bottleneck if architecture.bottleneck else BasicBlock, architecture.base_channels
    network = ResNet(block, list(architecture.blocks))
    if width != _WIDTH:
        network.inplanes = width
        network.bn1 = nn.BatchNorm2d(width)
        for stage, blocks, stride in zip((1, 2, 3, 4), architecture.blocks, (1, 2, 2, 2)):
            layer = network._make_layer(block, width << (stage - 1), blocks, stride=stride)
            setattr(network, f'layer{stage}', layer)
    network.conv1 = _first_convolution(architecture)
    if architecture.stem == 'small':
        network.maxpool = nn.Identity()
    network.fc = nn.Identity()
    return network


def _timm_resnet(architecture: Architecture) -> nn.Module:
    require('timm')
    from timm.models import resnet

    if architecture.base_channels != _WIDTH:
        raise ValueError(
            f"timm's ResNet has a stem with {_WIDTH} channels, this backbone one with {architecture.base_channels}: "
            "export it with target 'torchvision'."
        )
    block = resnet.Bottleneck if architecture.bottleneck else resnet.BasicBlock
    network = resnet.ResNet(block, architecture.blocks, num_classes=0, in_chans=architecture.in_channels)
    if architecture.stem == 'small':
        network.conv1, network.maxpool = _first_convolution(architecture), nn.Identity()
    return network


def mm_settings(architecture: Architecture, target: Target) -> dict[str, Any]:
    """Arguments of MMDetection's and MMSegmentation's ResNet for a backbone's weights.

    Args:
        architecture: Architecture of the weights.
        target: The package, for the error message.

    Returns:
        Arguments of the constructor.

    Raises:
        ValueError: The package has no ResNet of this depth, or none with this stem.
    """
    depth = _MM_DEPTHS.get((architecture.blocks, architecture.bottleneck))
    if depth is None or architecture.stem == 'small':
        found = 'a stem for small images' if architecture.stem == 'small' else f'stages of {architecture.blocks} blocks'
        raise ValueError(
            f"{OPENMMLAB[target]}'s ResNet has depths {', '.join(map(str, _MM_DEPTHS.values()))} and a 7x7 stem, this "
            f"backbone {found}: pre-train one with such a depth and stem='imagenet', or export it with target "
            "'torchvision'."
        )
    settings: dict[str, Any] = {'depth': depth, 'style': 'pytorch'}
    if architecture.in_channels != 3:
        settings['in_channels'] = architecture.in_channels
    if architecture.base_channels != _WIDTH:
        settings |= {'base_channels': architecture.base_channels, 'stem_channels': architecture.base_channels}
    return settings


def _first_convolution(architecture: Architecture) -> nn.Conv2d:
    kernel, stride, padding = (3, 1, 1) if architecture.stem == 'small' else (7, 2, 3)
    return nn.Conv2d(architecture.in_channels, architecture.base_channels, kernel, stride, padding, bias=False)


def loading_code(architecture: Architecture, target: Target, filename: str, pyramid: bool = False) -> str:
    """Python code to copy that loads an exported file.

    Args:
        architecture: Architecture of the weights.
        target: The package.
        filename: The exported file.
        pyramid: Whether the file also holds a feature pyramid, as exports to MMDetection and MMSegmentation can.

    Returns:
        Lines that build ``network``; for MMDetection and MMSegmentation, lines of a config.
    """
    if target in OPENMMLAB:
        return _mm_loading_code(mm_settings(architecture, target), target, filename, pyramid)
    block = 'Bottleneck' if architecture.bottleneck else 'BasicBlock'
    safe = filename.endswith('.safetensors')
    read = 'safetensors.torch.load_file(path)' if safe else 'torch.load(path, weights_only=True)'
    lines = ['import safetensors.torch' if safe else 'import torch', 'from torch import nn']
    if target == 'timm':
        lines += [f'from timm.models.resnet import {block}, ResNet', '']
        arguments = f'{list(architecture.blocks)}, num_classes=0, in_chans={architecture.in_channels}'
        lines += [f'network = ResNet({block}, {arguments})']
    else:
        lines += ['from torchvision.models import ResNet', f'from torchvision.models.resnet import {block}', '']
        lines += [f'network = ResNet({block}, {list(architecture.blocks)})', 'network.fc = nn.Identity()']
    lines += _replacements(architecture, target, block)
    return '\n'.join([*lines, f'path = {filename!r}', f'network.load_state_dict({read}, strict=True)'])


def _mm_loading_code(settings: dict[str, Any], target: Target, filename: str, pyramid: bool) -> str:
    parts = {'backbone': ", type='ResNet'" + ''.join(f', {key}={value!r}' for key, value in settings.items())}
    if pyramid:
        parts['neck'] = ''
    lines = ['    pretrained=None,'] if target == 'mmseg' else []  # MMSegmentation's own configs name weights there
    for part, more in parts.items():
        prefix = f", prefix='{part}.'" if pyramid else ''
        pretrained = f"dict(type='Pretrained', checkpoint={filename!r}{prefix})"
        lines += [f'    {part}=dict(init_cfg={pretrained}{more}),']
    return '\n'.join(['model = dict(', *lines, ')'])


def _replacements(architecture: Architecture, target: Target, block: str) -> list[str]:
    width, lines = architecture.base_channels, []
    if width != _WIDTH:
        lines += [f'network.inplanes, network.bn1 = {width}, nn.BatchNorm2d({width})']
        lines += [
            f'network.layer{stage} = network._make_layer({block}, {width << (stage - 1)}, {blocks}, stride={stride})'
            for stage, blocks, stride in zip((1, 2, 3, 4), architecture.blocks, (1, 2, 2, 2))
        ]
    if architecture.stem == 'small':
        lines += [f'network.conv1 = nn.Conv2d({architecture.in_channels}, {width}, 3, 1, 1, bias=False)']
        lines += ['network.maxpool = nn.Identity()']
    elif target == 'torchvision' and (width != _WIDTH or architecture.in_channels != 3):
        lines += [f'network.conv1 = nn.Conv2d({architecture.in_channels}, {width}, 7, 2, 3, bias=False)']
    return lines
