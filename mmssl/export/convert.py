"""The plain weights of a backbone out of a checkpoint of another project."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from mmssl.export.backbone import rebuilt_backbone
from mmssl.export.plain import architecture_of
from mmssl.weights import Match, match_keys, read_file, resnet_prefix, write_weights


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
        left = ', '.join(f'{name} ({number})' for name, number in self.left_out.items()) or 'nothing'
        return (
            f'{self.path}: {self.match.matched} of {self.match.total} keys of a {self.architecture}, which stood '
            f'behind {self.match.layout}. Left out, with the number of tensors: {left}.'
        )


def convert_checkpoint(source: str | Path, target: str | Path) -> Conversion:
    """Write the ResNet of any checkpoint of this field under torchvision's keys, tensors alone.

    The prefixes of the projects are in ``mmssl.export.LAYOUTS``; others are found too. The network is rebuilt from
    the shapes and filled, every key of it, before anything is written.

    Args:
        source: The checkpoint; never unpickled, see :func:`~mmssl.weights.read_file`.
        target: File to write; safetensors where it ends so, else ``.pth``.

    Returns:
        What was taken and what was left out.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: It holds no ResNet of torchvision's form, or is refused.
    """
    file = read_file(source)
    if resnet_prefix(file.tensors) is None:
        raise ValueError(
            f'{source} holds no ResNet (conv1 and layer1 to layer4 are looked for, behind any prefix); its first key '
            f'is {next(iter(file.tensors))}.'
        )
    network = rebuilt_backbone(file)
    match = match_keys(file.tensors, network)
    write_weights(network.state_dict(), target)
    return Conversion(Path(target), match, _words(network))


def _words(network: nn.Module) -> str:
    found = architecture_of(network.state_dict())
    block = 'bottleneck' if found.bottleneck else 'basic'
    return f'ResNet of {", ".join(map(str, found.blocks))} {block} blocks, {found.base_channels} channels wide'
