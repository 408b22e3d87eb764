"""Export a backbone, and verify that nothing was lost."""

import importlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

from mmssl.export.plain import OPENMMLAB, Architecture, Target, architecture_of, loading_code, plain_network
from mmssl.files import write_json
from mmssl.models.backbones.resnet import ARCHITECTURES, ResNet
from mmssl.models.modes import eval_mode
from mmssl.models.necks.fpn import FPN
from mmssl.version import __version__
from mmssl.weights import (
    Source,
    backbone_weights,
    load_backbone,
    read_file,
    read_weights,
    strip_prefix,
    tensors_of,
    write_weights,
)

_BACKBONE, _PYRAMID, _NECK = 'backbone.', 'pyramid.', 'neck.'


@dataclass(frozen=True)
class ExportCheck:
    """Result of loading an exported file into the plain classes.

    Attributes:
        matched: Number of the plain classes' keys that the file filled.
        total: Number of the plain classes' keys.
        max_difference: Maximum difference between their features and the original's on the same image.
    """

    matched: int
    total: int
    max_difference: float

    def __str__(self) -> str:
        return (
            f'{self.matched} of {self.total} keys matched; largest difference between the features of the same '
            f'image: {self.max_difference:g}'
        )


def export_backbone(
    source: Source | nn.Module,
    path: str | Path,
    target: Target = 'torchvision',
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write the weights of a backbone under the keys of another package.

    A ``.json`` file of the same name describes the weights: architecture, lines of code that load them, and the entries
    of ``metadata`` (normalisation, training data, results). A feature pyramid that was trained with the backbone is
    exported to MMDetection and MMSegmentation, too: the keys then start with ``backbone.`` and ``neck.``, as in a whole
    detector. Without one, they are torchvision's for all targets.

    Args:
        source: A checkpoint file (by its path, or as it was read), an algorithm with a ``backbone``, a backbone, or
            tensors by key.
        path: File to write; in safetensors format if it ends in ``.safetensors``, which MMDetection and MMSegmentation
            do not read.
        target: The package that will load it.
        metadata: Plain values for the ``.json``.

    Returns:
        Path of the weights.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: The weights are not those of a backbone that the target can build, or the file is refused.
    """
    path = Path(path)
    if not isinstance(source, nn.Module):
        source = tensors_of(source)
    state_dict = backbone_weights(source)
    architecture = architecture_of(state_dict)
    network = plain_network(architecture, target)
    load_backbone(map_keys(state_dict, target), network)  # raises before anything is written
    if target in OPENMMLAB and path.suffix == '.safetensors':
        raise ValueError(f'{OPENMMLAB[target]} does not read safetensors: name the file {path.stem}.pth.')
    pyramid = pyramid_weights(source) if target in OPENMMLAB else {}
    write_weights(map_keys(network.state_dict(), target, pyramid), path)
    card = {
        'target': target,
        'architecture': asdict(architecture),
        'load': loading_code(architecture, target, path.name, bool(pyramid)).splitlines(),
        'mmssl_version': __version__,
        **(metadata or {}),
    }
    write_json(path.with_suffix('.json'), card)
    return path


def map_keys(
    state_dict: Mapping[str, Tensor], target: Target, pyramid: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Rename a ResNet's keys for a target: all targets use torchvision's keys, unless there is a pyramid.

    Args:
        state_dict: The backbone's tensors under torchvision's keys.
        target: The package.
        pyramid: Tensors of an :class:`~mmssl.models.FPN`, for MMDetection and MMSegmentation.

    Returns:
        Tensors under the target's keys.
    """
    weights = {key: tensor for key, tensor in state_dict.items() if not key.startswith('fc.')}
    if target not in OPENMMLAB or not pyramid:
        return weights
    backbone = {_BACKBONE + key: tensor for key, tensor in weights.items()}
    return backbone | {_NECK + key: tensor for key, tensor in map_pyramid_keys(pyramid).items()}


def map_pyramid_keys(pyramid: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the keys of an :class:`~mmssl.models.FPN` to those of MMDetection's ``FPN``.

    Raises:
        ValueError: A key is not one of an FPN.
    """
    taken = sum(key.endswith('.bias') and 'inner_blocks' in key for key in pyramid)
    mapped = {}
    for key, tensor in pyramid.items():
        parts = re.fullmatch(r'(?:pyramid\.)?(\w+)\.(\d+)\.(?:0\.)?(weight|bias)', key)
        if parts is None:
            raise ValueError(f'{key} is not a key of an FPN: give the tensors of mmssl.models.FPN.')
        kind, place, parameter = parts.groups()
        convolutions = 'lateral_convs' if kind == 'inner_blocks' else 'fpn_convs'
        level = int(place) + (taken if kind == 'extra' else 0)
        mapped[f'{convolutions}.{level}.conv.{parameter}'] = tensor
    return mapped


def verify_export(
    path: str | Path,
    backbone: nn.Module,
    target: Target = 'torchvision',
    image: Tensor | None = None,
    pyramid: nn.Module | None = None,
) -> ExportCheck:
    """Load an exported file into the plain classes, every key, and compare features.

    Args:
        path: The exported file.
        backbone: The original; its ``forward`` gives a tuple of feature maps.
        target: The package.
        image: A normalised image, shape ``(1, C, H, W)``; noise of 64 x 64 by default.
        pyramid: The original :class:`~mmssl.models.FPN`, if the file holds one.

    Returns:
        Numbers of keys, and the maximum difference of the features, which is 0 or a rounding error.

    Raises:
        RuntimeError: A key is missing or unexpected (from PyTorch).
        ValueError: The file is not an exported backbone.
    """
    weights = read_weights(path)
    own = backbone_weights(weights)
    architecture = architecture_of(own)
    network = plain_network(architecture, target)
    network.load_state_dict(own, strict=True)
    network.eval()  # returns None in OpenMMLab's ResNets
    if image is None:
        image = torch.randn(1, architecture.in_channels, 64, 64, generator=torch.Generator().manual_seed(0))
    device, total = next(backbone.parameters()).device, len(network.state_dict())
    with torch.no_grad(), eval_mode(backbone):
        maps = backbone(image.to(device))
        theirs = network(image)
        pairs = [(_pooled(theirs), _pooled(maps))]
        if pyramid is not None:
            neck = _plain_pyramid(weights, target)
            total += len(neck.state_dict())
            taken = theirs[-len(neck.lateral_convs) :]
            pairs += zip(neck(taken), pyramid(maps), strict=True)
    difference = max((theirs - ours.cpu()).abs().max().item() for theirs, ours in pairs)
    return ExportCheck(len(weights), total, difference)


def _pooled(features: Tensor | tuple[Tensor, ...]) -> Tensor:
    return features if isinstance(features, Tensor) else features[-1].mean(dim=(2, 3))


def _plain_pyramid(weights: Mapping[str, Tensor], target: Target) -> nn.Module:
    """The target's FPN with the weights of an exported file."""
    own = strip_prefix(weights, _NECK)
    lateral = [tensor for key, tensor in own.items() if re.fullmatch(r'lateral_convs\.\d+\.conv\.weight', key)]
    levels = sum(bool(re.fullmatch(r'fpn_convs\.\d+\.conv\.weight', key)) for key in own)
    kind = importlib.import_module(f'{target}.models.necks').FPN
    neck = kind([len(weight[0]) for weight in lateral], len(lateral[0]), levels, add_extra_convs='on_output')
    neck.load_state_dict(own, strict=True)
    return neck.eval()


def rebuilt_backbone(source: Source) -> nn.Module:
    """Rebuild the backbone of a checkpoint from its weights alone.

    Args:
        source: A checkpoint file (by its path, or as it was read), or tensors by key.

    Returns:
        A :class:`~mmssl.models.ResNet`.

    Raises:
        ValueError: The weights are not a ResNet's, the depth is one that mmssl does not build, or the blocks have
            further parts.
    """
    if isinstance(source, str | Path):
        source = read_file(source)
    network = empty_backbone(architecture_of(backbone_weights(source)))
    load_backbone(source, network)
    return network


def backbone_config(source: Source) -> dict[str, Any]:
    """Config of the backbone that the weights of a checkpoint fit.

    Args:
        source: A checkpoint file (by its path, or as it was read), or tensors by key.

    Returns:
        Config of a :class:`~mmssl.models.ResNet`.

    Raises:
        ValueError: The weights are not a ResNet's, or the depth is one that mmssl does not build.
    """
    found = architecture_of(backbone_weights(read_file(source) if isinstance(source, str | Path) else source))
    return {
        'type': ResNet,
        'depth': _depth(found),
        'in_channels': found.in_channels,
        'stem': found.stem,
        'base_channels': found.base_channels,
    }


def empty_backbone(architecture: Architecture) -> nn.Module:
    """Build a backbone of an architecture with random weights from torch's generator.

    Args:
        architecture: From :func:`architecture_of`.

    Returns:
        A :class:`~mmssl.models.ResNet` that gives all four stages.

    Raises:
        ValueError: mmssl does not build this depth.
    """
    found = architecture
    return ResNet(_depth(found), found.in_channels, found.stem, found.base_channels, out_indices=(0, 1, 2, 3))


def _depth(architecture: Architecture) -> int:
    found = architecture
    depths = {(layers, block is Bottleneck): depth for depth, (block, layers) in ARCHITECTURES.items()}
    if (found.blocks, found.bottleneck) not in depths:
        raise ValueError(f'A ResNet with stages of {found.blocks} blocks: mmssl builds depths {sorted(ARCHITECTURES)}.')
    return depths[found.blocks, found.bottleneck]


def rebuilt_pyramid(source: Source) -> nn.Module | None:
    """Rebuild the feature pyramid of a checkpoint from its weights alone; None if it has none."""
    weights = pyramid_weights(source)
    if not weights:
        return None
    lateral = [tensor for key, tensor in weights.items() if 'inner_blocks' in key and tensor.ndim == 4]
    further = sum(key.startswith('extra.') and key.endswith('.weight') for key in weights)
    network = FPN([len(weight[0]) for weight in lateral], len(lateral[0]), len(lateral) + further)
    network.load_state_dict(weights, strict=True)
    return network


def pyramid_weights(source: Source | nn.Module) -> dict[str, Tensor]:
    """Tensors of the feature pyramid between backbone and neck; empty if there is none."""
    return strip_prefix(tensors_of(source), _PYRAMID)
