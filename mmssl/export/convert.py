"""The plain weights of a backbone out of a checkpoint of another project."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from mmssl.export.export import rebuilt_backbone
from mmssl.export.plain import architecture_of
from mmssl.weights import LAYOUTS, Match, behind, match_keys, read_weights, resnet_prefix, write_weights

_BACKBONE = re.compile(r'(conv1|bn1|layer[1-4])\.')


@dataclass(frozen=True)
class Conversion:
    """What became of a checkpoint.

    Attributes:
        path: The file that was written.
        match: How the checkpoint's keys fit the backbone.
        architecture: Of the backbone, in words.
    """

    path: Path
    match: Match
    architecture: str

    @property
    def left_out(self) -> dict[str, int]:
        """How many tensors were not taken, by the first two parts of their keys."""
        return dict(Counter('.'.join(key.split('.')[:2]) for key in self.match.left_over))

    def __str__(self) -> str:
        whose = f' (as in {LAYOUTS[self.match.prefix]})' if self.match.prefix in LAYOUTS else ''
        left = ', '.join(f'{name} ({number})' for name, number in self.left_out.items()) or 'nothing'
        return (
            f'{self.path}: {self.match.matched} of {self.match.total} keys of a {self.architecture}, which stood '
            f"behind '{self.match.prefix}'{whose}. Left out, with the number of tensors: {left}."
        )


def convert_checkpoint(source: str | Path, target: str | Path) -> Conversion:
    """Write the ResNet of any checkpoint of this field under torchvision's keys, tensors alone.

    The prefixes of the projects are in ``mmssl.export.LAYOUTS``; others are found too. The network is rebuilt from
    the shapes and filled, every key of it, before anything is written.

    Args:
        source: The checkpoint; never unpickled, see :func:`~mmssl.export.read_weights`.
        target: File to write; safetensors where it ends so, else ``.pth``.

    Returns:
        What was taken and what was left out.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: It holds no ResNet of torchvision's form, or is refused.
    """
    tensors = read_weights(source)
    prefix = resnet_prefix(tensors)
    if prefix is None:
        raise ValueError(
            f'{source} holds no ResNet (conv1 and layer1 to layer4 are looked for, behind any prefix); its first key '
            f'is {next(iter(tensors))}.'
        )
    network = rebuilt_backbone(behind(prefix, tensors))
    match = match_keys(tensors, network)
    foreign = next((key for key in match.left_over if _BACKBONE.match(key.removeprefix(match.prefix))), None)
    if foreign:
        raise ValueError(
            f"{source} holds {foreign}, which torchvision's ResNet does not have: its features would differ."
        )
    write_weights(network.state_dict(), target)
    return Conversion(Path(target), match, _words(network))


def _words(network: nn.Module) -> str:
    found = architecture_of(network.state_dict())
    block = 'bottleneck' if found.bottleneck else 'basic'
    return f'ResNet of {", ".join(map(str, found.blocks))} {block} blocks, {found.base_channels} channels wide'
