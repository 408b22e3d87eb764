"""Hand a backbone on, and show that nothing was lost on the way."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

from mmssl.evaluation.features import eval_mode
from mmssl.export.plain import Target, architecture_of, loading_code, plain_network
from mmssl.export.weights import load_backbone, read_weights, write_weights
from mmssl.version import __version__

_BACKBONE = 'backbone.'


@dataclass(frozen=True)
class ExportCheck:
    """What loading an exported file into the plain class gave.

    Attributes:
        matched: Keys of the plain class that the file filled.
        total: Keys of the plain class.
        max_difference: Largest difference between its features and the original backbone's on the same picture.
    """

    matched: int
    total: int
    max_difference: float

    def __str__(self) -> str:
        return (
            f'{self.matched} of {self.total} keys matched; largest difference between the features of the same '
            f'picture: {self.max_difference:g}'
        )


def export_backbone(
    source: str | Path | nn.Module | Mapping[str, Tensor],
    path: str | Path,
    target: Target = 'torchvision',
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write the weights of a backbone under the keys of another package.

    Beside the weights a ``.json`` of the same name says what they are: architecture, lines of code that load them, and
    what ``metadata`` adds (normalisation, training data, results).

    Args:
        source: A checkpoint file, an algorithm with a ``backbone``, a backbone, or tensors by key.
        path: File to write; safetensors where it ends so.
        target: The package whose plain class shall load it.
        metadata: Plain values for the ``.json``.

    Returns:
        The file of the weights.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: The weights are not those of a backbone that the target can build, or the file is refused.
    """
    path, state_dict = Path(path), backbone_weights(source)
    architecture = architecture_of(state_dict)
    plain_network(architecture, target)  # refuse before anything is written
    write_weights(map_keys(state_dict, target), path)
    card = {
        'target': target,
        'architecture': asdict(architecture),
        'load': loading_code(architecture, target, path.name).splitlines(),
        'mmssl_version': __version__,
        **(metadata or {}),
    }
    path.with_suffix('.json').write_text(json.dumps(card, indent=2, default=str) + '\n')
    return path


def map_keys(state_dict: Mapping[str, Tensor], target: Target) -> dict[str, Tensor]:
    """Rename a ResNet's keys for a target.

    Args:
        state_dict: Tensors under torchvision's keys.
        target: The package; timm's ResNets have the keys of torchvision's.

    Returns:
        Tensors under the target's keys.
    """
    return {key: tensor for key, tensor in state_dict.items() if not key.startswith('fc.')}


def verify_export(
    path: str | Path,
    backbone: nn.Module,
    target: Target = 'torchvision',
    image: Tensor | None = None,
) -> ExportCheck:
    """Load an exported file into the plain class, every key, and compare features.

    Args:
        path: The exported file.
        backbone: The original; its ``forward`` gives a tuple of feature maps.
        target: The package.
        image: A normalised picture, shape ``(1, C, H, W)``; noise of 64 x 64 by default.

    Returns:
        Keys and the largest difference of the features, which is 0 or of the size of rounding.

    Raises:
        RuntimeError: A key is missing or left over (from PyTorch).
        ValueError: The file is not an exported backbone.
    """
    weights = read_weights(path)
    architecture = architecture_of(weights)
    network = plain_network(architecture, target).eval()
    network.load_state_dict(weights, strict=True)
    if image is None:
        image = torch.randn(1, architecture.in_channels, 64, 64, generator=torch.Generator().manual_seed(0))
    device = next(backbone.parameters()).device
    with torch.no_grad(), eval_mode(backbone):
        original = backbone(image.to(device))[-1].mean(dim=(2, 3)).cpu()
        difference = (network(image) - original).abs().max().item()
    return ExportCheck(len(weights), len(network.state_dict()), difference)


def rebuilt_backbone(source: str | Path | Mapping[str, Tensor]) -> nn.Module:
    """The backbone of a checkpoint, built from nothing but its weights.

    Args:
        source: A checkpoint file, or tensors by key.

    Returns:
        A :class:`~mmssl.models.ResNet`.

    Raises:
        ValueError: The weights are not a ResNet's, or of a depth that mmssl does not build.
    """
    from mmssl.models.backbones.resnet import ARCHITECTURES, ResNet

    weights = backbone_weights(source)
    found = architecture_of(weights)
    depths = {(layers, block is Bottleneck): depth for depth, (block, layers) in ARCHITECTURES.items()}
    if (found.blocks, found.bottleneck) not in depths:
        raise ValueError(f'A ResNet with stages of {found.blocks} blocks: mmssl builds depths {sorted(ARCHITECTURES)}.')
    network = ResNet(depths[found.blocks, found.bottleneck], found.in_channels, found.stem, found.base_channels)
    load_backbone(weights, network)
    return network


def backbone_weights(source: str | Path | nn.Module | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A backbone's tensors without prefix.

    Args:
        source: A checkpoint file, an algorithm with a ``backbone``, a backbone, or tensors by key.

    Returns:
        What stands behind ``backbone.``, or everything where nothing does.
    """
    if isinstance(source, nn.Module):
        return dict(getattr(source, 'backbone', source).state_dict())
    tensors = source if isinstance(source, Mapping) else read_weights(source)
    inside = {key.removeprefix(_BACKBONE): tensor for key, tensor in tensors.items() if key.startswith(_BACKBONE)}
    return inside or dict(tensors)
