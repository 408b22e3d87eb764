"""Convert checkpoints of other projects to plain weights of a backbone."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from mmssl.export.backbone import rebuilt_backbone
from mmssl.export.plain import architecture_of
from mmssl.weights import Match, match_keys, read_file, resnet_prefix, write_weights


@dataclass(frozen=True)
class Conversion:
    """Result of converting a checkpoint.

    Attributes:
        path: The file that was written.
        match: How the checkpoint's keys fit the backbone.
        architecture: Architecture of the backbone, in words.
    """

    path: Path
    match: Match
    architecture: str

    @property
    def left_out(self) -> dict[str, int]:
        """Number of tensors left out, by the first two parts of their keys."""
        return dict(Counter('.'.join(key.split('.')[:2]) for key in self.match.left_over))

    def __str__(self) -> str:
        left = ', '.join(f'{name} ({number})' for name, number in self.left_out.items()) or 'nothing'
        return (
            f'{self.path}: {self.match.matched} of {self.match.total} keys of a {self.architecture}, found under '
            f'{self.match.layout}. Left out, with the number of tensors: {left}.'
        )


def convert_checkpoint(source: str | Path, target: str | Path) -> Conversion:
    """Write the ResNet of any self-supervised checkpoint with torchvision's keys, tensors only.

    ``mmssl.export.LAYOUTS`` lists the prefixes of known projects; other prefixes are found, too. The network is rebuilt
    from the shapes and filled, every key of it, before anything is written.

    Args:
        source: The checkpoint; never unpickled, see :func:`~mmssl.weights.read_file`.
        target: File to write; in safetensors format if it ends in ``.safetensors``, else as ``.pth``.

    Returns:
        Which tensors were converted, and which were left out.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: The file holds no ResNet of torchvision's form, or is refused.
    """
    file = read_file(source)
    if resnet_prefix(file.tensors) is None:
        raise ValueError(
            f'{source} holds no ResNet (conv1 and layer1 to layer4, under any prefix); its first key is '
            f'{next(iter(file.tensors))}.'
        )
    network = rebuilt_backbone(file)
    match = match_keys(file.tensors, network)
    write_weights(network.state_dict(), target)
    return Conversion(Path(target), match, _words(network))


def _words(network: nn.Module) -> str:
    found = architecture_of(network.state_dict())
    block = 'bottleneck' if found.bottleneck else 'basic'
    return f'ResNet of {", ".join(map(str, found.blocks))} {block} blocks, {found.base_channels} channels wide'
