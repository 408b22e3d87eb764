"""Weights from files, without ever unpickling one, and into a backbone, without ever losing one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mmssl.checkpoint import read_checkpoint

_NOT_LEARNED = 'num_batches_tracked'  # a counter that older files lack
# What stands before a backbone's keys in the files of this field, and whose files those are; of two networks in one
# file the earlier counts: the student of MoCo and its kin, not the momentum encoder.
LAYOUTS = {
    '': 'torchvision, and backbones alone: Barlow Twins, VICReg, DINO',
    'backbone.': 'mmssl, mmselfsup, mmpretrain, OpenSelfSup, DINO with its head',
    'module.backbone.': 'Barlow Twins and VICReg with their projectors',
    'module.encoder_q.': 'MoCo',
    'module.encoder_q.0.': 'MoCo and DenseCL in OpenSelfSup',
    'encoder_q.0.': 'MoCo and DenseCL in OpenSelfSup',
    'module.encoder.': 'PixPro, PIC, CoKe',
    'module.': 'SwAV, DeepCluster v2',
}


@dataclass(frozen=True)
class Match:
    """How the keys of a file fit a network.

    Attributes:
        prefix: What stands before the network's keys in the file, such as ``'backbone.'``.
        state_dict: The tensors that fit, under the network's keys.
        total: Keys the network has (counters of batch norm left out).
        left_over: Keys of the file that the network does not take.
    """

    prefix: str
    state_dict: dict[str, Tensor]
    total: int
    left_over: tuple[str, ...] = ()

    @property
    def matched(self) -> int:
        """Keys that are in the file with the right shape (counters of batch norm left out)."""
        return sum(not key.endswith(_NOT_LEARNED) for key in self.state_dict)


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Tensors of a checkpoint file, under the keys they have there.

    Args:
        path: A ``.safetensors`` file, or one of ``torch.save`` that loads with ``weights_only=True``: the tensors
            themselves, or a dict with them under ``state_dict``, ``model`` or ``teacher``.

    Returns:
        Tensors on the CPU by key.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Reading would run code that is in the file, or it holds no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'No checkpoint at {path}: give the path of an existing file.')
    if path.suffix == '.safetensors':
        return _safetensors().load_file(path)
    content = read_checkpoint(path, tensors_only=True)
    if not isinstance(content, dict):
        raise ValueError(f'{path} holds a {type(content).__name__}, not a dict of tensors: give a checkpoint.')
    for key in ('state_dict', 'model', 'teacher'):
        if isinstance(content.get(key), Mapping):
            content = content[key]
            break
    tensors = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f'{path} holds no tensors, nor do its state_dict, model and teacher: give a checkpoint.')
    return tensors


def write_weights(state_dict: Mapping[str, Tensor], path: str | Path) -> None:
    """Save tensors alone: as safetensors where the path ends so, else with ``torch.save``.

    Args:
        state_dict: Tensors by key.
        path: The file to write; its folder is made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in state_dict.items()}
    if path.suffix == '.safetensors':
        _safetensors().save_file(tensors, path)
    else:
        torch.save(tensors, path)


def match_keys(state_dict: Mapping[str, Tensor], network: nn.Module) -> Match:
    """Find the prefix under which most of a network's keys stand in a file, with the right shapes.

    Args:
        state_dict: Tensors by the file's keys.
        network: The network to fill.

    Returns:
        The best match; of equals the one that ``LAYOUTS`` names first, else the one with the shortest prefix.
    """
    wanted = network.state_dict()
    prefixes = _prefixes(state_dict, next(iter(wanted))) or [_common_prefix(state_dict)]
    matches = [_match(state_dict, wanted, prefix) for prefix in prefixes]
    return max(matches, key=lambda match: match.matched)


def resnet_prefix(state_dict: Mapping[str, Tensor]) -> str | None:
    """What stands before the keys of the ResNet in a file; None where there is no ResNet in it.

    Args:
        state_dict: Tensors by the file's keys.

    Returns:
        The prefix; of several networks the one that ``LAYOUTS`` names first, else the one with the shortest.
    """
    found = _prefixes(state_dict, 'layer4.0.conv1.weight')
    return next((prefix for prefix in found if f'{prefix}conv1.weight' in state_dict), None)


def load_backbone(checkpoint: str | Path | Mapping[str, Tensor], network: nn.Module) -> Match:
    """Fill a network with the backbone of a checkpoint, or refuse.

    Args:
        checkpoint: A file for :func:`read_weights`, or tensors by key.
        network: A backbone, or a plain class of torchvision or timm with the same keys.

    Returns:
        What was matched.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: One of the network's keys is not there with the right shape, or the file is refused.
    """
    given = isinstance(checkpoint, Mapping)
    match = match_keys(checkpoint if given else read_weights(checkpoint), network)
    if match.matched < match.total:
        place = 'The checkpoint' if given else str(checkpoint)
        lacking = next(key for key in network.state_dict() if key not in match.state_dict and _NOT_LEARNED not in key)
        raise ValueError(
            f'{place} fits {match.matched} of the {match.total} keys of {type(network).__name__} (all are needed, and '
            f"{lacking} does not fit); its keys start with '{match.prefix}'. Give the checkpoint of this network, or "
            'build the network that it was made with (depth, base_channels, stem and in_channels decide the shapes).'
        )
    network.load_state_dict(match.state_dict, strict=False)
    return match


def behind(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose keys begin with a prefix, under the rest of their keys."""
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def _prefixes(state_dict: Mapping[str, Tensor], key: str) -> list[str]:
    found = {name[: -len(key)] for name in state_dict if name.endswith(key)}
    known = [prefix for prefix in LAYOUTS if prefix in found]
    return known + sorted(found.difference(known), key=lambda prefix: (len(prefix), prefix))


def _match(state_dict: Mapping[str, Tensor], wanted: Mapping[str, Tensor], prefix: str) -> Match:
    found = {
        key: state_dict[prefix + key]
        for key, tensor in wanted.items()
        if prefix + key in state_dict and state_dict[prefix + key].shape == tensor.shape
    }
    left_over = tuple(key for key in state_dict if key.removeprefix(prefix) not in found or not key.startswith(prefix))
    return Match(prefix, found, sum(not key.endswith(_NOT_LEARNED) for key in wanted), left_over)


def _common_prefix(state_dict: Mapping[str, Tensor]) -> str:
    return next(iter(state_dict), '').split('.')[0] + '.'


def _safetensors():
    try:
        import safetensors.torch
    except ImportError as error:
        raise ImportError('A .safetensors file needs the package safetensors: type  pip install safetensors') from error
    return safetensors.torch
