"""Read weights from files without unpickling, and load them into a backbone without losing any.

Every load of a file goes through :func:`read_file`. Nothing in a file is run or parsed as Python.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from mmssl.checkpoint import CheckpointError, latest_checkpoint, read_checkpoint
from mmssl.files import atomic_write
from mmssl.words import one_line

__all__ = [
    'CONFIG_KEY',
    'LAYOUTS',
    'Match',
    'WeightsFile',
    'average_weights',
    'backbone_weights',
    'check_finite',
    'is_finite',
    'load_backbone',
    'match_keys',
    'read_file',
    'read_weights',
    'resnet_prefix',
    'safetensors_bytes',
    'shown_keys',
    'strip_prefix',
    'tensors_of',
    'unpickle_file',
    'write_weights',
]
CONFIG_KEY = 'mmssl_config'  # where the metadata of a .safetensors file hold the parts of a config, as JSON
_PLACES = ('state_dict', 'model', 'teacher', 'network')  # where files hold the tensors of a whole method
_COUNTER = 'num_batches_tracked'  # of batch norm; older files lack it
# Ends of keys that hold nothing learned; some releases save them, others compute them.
_NOT_LEARNED = (_COUNTER, 'relative_position_index', 'relative_coords_table', 'attn_mask', 'total_ops', 'total_params')
_RESNET = re.compile(r'(conv1|bn1|layer[1-4])\.')
# Parts of a file beside its backbone: classifiers, heads of a pre-training, and whatever follows the student.
_BESIDE = re.compile(
    r'(fc|heads?|head_\w+|classifier|last_linear|projec\w*|predic\w*|prototypes|mask_token|momentum\w*|module|teacher'
    r'|student|ema|queue\w*)(\.|$)'
)
# Prefixes of a backbone's keys in the files of this field, and whose files have them. If a file holds two networks,
# the earlier prefix counts: the student of MoCo and related methods, not the teacher.
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
class WeightsFile:
    """Content of a file, as tensors and plain data.

    Attributes:
        path: Path of the file.
        tensors: Its tensors on the CPU, under their keys in the file.
        content: The whole checkpoint, including meta data, optimizer and log histories; empty if the file holds only
            tensors. It is not trusted: check what you use.
    """

    path: Path
    tensors: dict[str, Tensor]
    content: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def meta(self) -> dict[str, Any]:
        """The part that describes the checkpoint; empty if there is none."""
        meta = self.content.get('meta')
        return meta if isinstance(meta, dict) else {}

    @property
    def config(self) -> dict[str, Any] | None:
        """The config of the training as plain data, not checked; None if the file holds none."""
        config = self.meta.get('config')
        return config if isinstance(config, dict) else None

    @property
    def config_is_text(self) -> bool:
        """Whether the config is stored only as text, as older versions of mmssl did. The text is not read."""
        return self.config is None and isinstance(self.meta.get('cfg'), str)

    @property
    def progress(self) -> dict[str, int] | None:
        """Position of the training, if mmssl wrote the file during one; else None."""
        progress = self.meta.get('progress')
        if not isinstance(progress, dict):
            return None
        counts = {name: value for name, value in progress.items() if name != 'time'}  # of a run of so many minutes
        whole = 'num_samples' in counts and all(type(value) is int for value in counts.values())
        return counts if whole else None


@dataclass(frozen=True)
class Match:
    """Match between the keys of a file and those of a network.

    Attributes:
        prefix: Prefix of the network's keys in the file, such as ``'backbone.'``.
        state_dict: The matching tensors, under the network's keys.
        total: Number of keys of the network (without counters of batch norm).
        left_over: Keys of the file that the network does not use.
        wrapper: Prefix that all keys of the network have, and those of the file need not: ``'model.'`` of a
            :class:`~mmssl.models.TimmBackbone`; ``''`` if the file has it too.
        parts: First components of the network's keys, without the wrapper.
    """

    prefix: str
    state_dict: dict[str, Tensor]
    total: int
    left_over: tuple[str, ...] = ()
    wrapper: str = ''
    parts: frozenset[str] = frozenset()

    @property
    def matched(self) -> int:
        """Number of keys that the file has in the right shape (without counters of batch norm)."""
        return sum(not key.endswith(_COUNTER) for key in self.state_dict)

    @property
    def layout(self) -> str:
        """The prefix, and the projects whose files have it."""
        whose = f' (as in {LAYOUTS[self.prefix]})' if self.prefix in LAYOUTS else ''
        return f"'{self.prefix}'{whose}"

    @property
    def foreign(self) -> str | None:
        """A key of the file within a part of the network that the network lacks; None if there is none."""
        return next((key for key in self.unknown if self._part(key) in self.parts or self._is_of_a_resnet(key)), None)

    @property
    def unknown(self) -> list[str]:
        """Keys beside the network's own in the file that are no part of a classifier or of a head of a pre-training."""
        own = (key for key in self.left_over if key.startswith(self.prefix) and not key.endswith(_NOT_LEARNED))
        return [key for key in own if not _BESIDE.match(key.removeprefix(self.prefix))]

    def _part(self, key: str) -> str:
        return key.removeprefix(self.prefix).partition('.')[0]

    def _is_of_a_resnet(self, key: str) -> bool:
        return bool(_RESNET.match(key.removeprefix(self.prefix)))


Source = str | Path | WeightsFile | Mapping[str, Tensor]


def read_file(path: str | Path) -> WeightsFile:
    """Read a file of weights from any project, without running anything in it.

    Args:
        path: A ``.safetensors`` file; a ``torch.save`` file that loads with ``weights_only=True`` and holds tensors, or
            a dict of tensors under ``state_dict``, ``model``, ``teacher`` or ``network``; or the work directory of a
            run, whose newest checkpoint is read.

    Returns:
        Tensors and plain data.

    Raises:
        FileNotFoundError: There is no such file, or the folder has no checkpoint.
        CheckpointError: Reading would run code from the file, or the file holds no tensors.
    """
    path = Path(path)
    if path.is_dir():
        found = latest_checkpoint(path)
        if found is None:
            raise FileNotFoundError(f'No checkpoint in {path}: give the work directory of a run, or a .pth file.')
        path, content = found
    elif not path.is_file():
        raise FileNotFoundError(f'No checkpoint at {path}: give the path of an existing file.')
    elif path.suffix == '.safetensors':
        return WeightsFile(path, *_read_safetensors(path))
    else:
        content = read_checkpoint(path, tensors_only=True)
    if not isinstance(content, dict):
        raise CheckpointError(f'{path} holds a {type(content).__name__}, not a dict of tensors: give a checkpoint.')
    return WeightsFile(path, _tensors_in(content, path), content)


def unpickle_file(path: str | Path) -> WeightsFile:
    """Read a file by unpickling it, which runs the code in it: only where the user has asked for that.

    Args:
        path: A file of ``torch.save``.

    Raises:
        CheckpointError: The file is broken, or holds no tensors.
    """
    path = Path(path)
    try:
        content = torch.load(path, map_location='cpu', weights_only=False)
    except Exception as error:  # of any kind, where the file is damaged
        raise CheckpointError(f'{path} cannot be unpickled ({one_line(error)}): give a complete .pth file.') from error
    return WeightsFile(path, _tensors_in(content if isinstance(content, dict) else {}, path), content)


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a file, under their keys in the file; see :func:`read_file`.

    Args:
        path: A file, or the work directory of a run.

    Returns:
        Tensors on the CPU by key.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: Reading would run code from the file, or the file holds no tensors.
    """
    return read_file(path).tensors


def tensors_of(source: Source | nn.Module) -> Mapping[str, Tensor]:
    """Return tensors by key.

    Args:
        source: A file (its path or its content), a network, or tensors by key, which are returned as they are.

    Returns:
        Tensors under the keys of the source.
    """
    if isinstance(source, nn.Module):
        return source.state_dict()
    if isinstance(source, str | Path):
        return read_weights(source)
    return source.tensors if isinstance(source, WeightsFile) else source


def backbone_weights(source: Source | nn.Module) -> dict[str, Tensor]:
    """Return a backbone's tensors under its own keys.

    Args:
        source: A file (its path or its content), an algorithm with a ``backbone``, a backbone, or tensors by key.

    Returns:
        For a ResNet, everything in its stem and stages, whatever its prefix in the file; for another network, what
        follows the first prefix of ``LAYOUTS`` that occurs, or everything.
    """
    if isinstance(source, nn.Module):
        return dict(getattr(source, 'backbone', source).state_dict())
    tensors = tensors_of(source)
    prefix = resnet_prefix(tensors)
    if prefix is None:
        known = (prefix for prefix in LAYOUTS if prefix and any(key.startswith(prefix) for key in tensors))
        return strip_prefix(tensors, next(known, ''))
    return {key: tensor for key, tensor in strip_prefix(tensors, prefix).items() if _RESNET.match(key)}


def average_weights(paths: Sequence[str | Path]) -> WeightsFile:
    """Average the tensors of several files, as a uniform soup does: one network from several trainings.

    Args:
        paths: Files with the same keys and shapes; see :func:`read_file`.

    Returns:
        The first file with the means as its tensors, computed in float64, in its dtypes; whole numbers, such as
        counters, are the last file's.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: There are fewer than two files, they differ in their keys or shapes, or one cannot be read.

    Source: Pixel-Linguist's four variants of its first stage; the uniform soup of Wortsman et al., ICML 2022.
    """
    if len(paths) < 2:
        raise CheckpointError(f'{len(paths)} files to average: give two or more.')
    file = read_file(paths[0])
    first = file.tensors
    sums = {key: tensor.double() if tensor.is_floating_point() else tensor for key, tensor in first.items()}
    for path in paths[1:]:
        tensors = read_weights(path)
        odd = [key for key in {**first, **tensors} if _shape(first, key) != _shape(tensors, key)]
        if odd:
            raise CheckpointError(
                f'{path} and {paths[0]} differ in {shown_keys(odd)}: give files of the same network and method.'
            )
        for key, tensor in tensors.items():
            sums[key] = sums[key] + tensor if tensor.is_floating_point() else tensor
    means = {
        key: (total / len(paths)).to(first[key].dtype) if total.is_floating_point() else total
        for key, total in sums.items()
    }
    return replace(file, tensors=means)


def _shape(tensors: Mapping[str, Tensor], key: str) -> tuple[int, ...] | None:
    return tuple(tensors[key].shape) if key in tensors else None


def write_weights(state_dict: Mapping[str, Tensor], path: str | Path) -> None:
    """Save only tensors: as safetensors if the path ends in ``.safetensors``, otherwise with ``torch.save``.

    Args:
        state_dict: Tensors by key.
        path: The file to write; its folder is created.

    Raises:
        CheckpointError: Weights are NaN or infinite.
    """
    path = Path(path)
    check_finite(state_dict, f'What would be written to {path}')
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.safetensors':
        with atomic_write(path) as file:
            file.write(safetensors_bytes(state_dict))
    else:
        torch.save(_on_cpu(state_dict), path)


def safetensors_bytes(state_dict: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return the content of a ``.safetensors`` file.

    Args:
        state_dict: Tensors by key.
        metadata: Texts to store in its header. Under ``CONFIG_KEY``, :func:`read_file` expects the parts of a config
            that build and feed the network, as JSON.

    Returns:
        The bytes; the same tensors and metadata give the same bytes.
    """
    content = safetensors.torch.save(_on_cpu(state_dict), dict(metadata) if metadata else None)
    end = 8 + int.from_bytes(content[:8], 'little')  # the length of the header, the header, and then the tensors
    # the package writes metadata in random order
    header = json.dumps(json.loads(content[8:end]), sort_keys=True, separators=(',', ':')).encode()
    header += b' ' * (-len(header) % 8)
    return len(header).to_bytes(8, 'little') + header + content[end:]


def _on_cpu(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: tensor.detach().cpu().contiguous() for key, tensor in state_dict.items()}


def match_keys(state_dict: Mapping[str, Tensor], network: nn.Module) -> Match:
    """Find the prefix under which a file holds most of a network's keys, with the right shapes.

    Args:
        state_dict: Tensors by the file's keys.
        network: The network to fill.

    Returns:
        The best match; of equal ones, the one that ``LAYOUTS`` lists first, otherwise the one with the shortest prefix.
    """
    wanted = network.state_dict()
    first = next(iter(wanted))
    wrapper = f'{first.partition(".")[0]}.'
    wrappers = [wrapper, ''] if all(key.startswith(wrapper) for key in wanted) else ['']
    pairs = [(wrapper, prefix) for wrapper in wrappers for prefix in _prefixes(state_dict, first.removeprefix(wrapper))]
    matches = [_match(state_dict, wanted, *pair) for pair in pairs or [('', _common_prefix(state_dict))]]
    return max(matches, key=lambda match: match.matched)


def resnet_prefix(state_dict: Mapping[str, Tensor]) -> str | None:
    """Return the prefix of the ResNet's keys in a file; None if it holds no ResNet.

    Args:
        state_dict: Tensors by the file's keys.

    Returns:
        The prefix; of several networks, the one that ``LAYOUTS`` lists first, otherwise the shortest. A network deeper
        inside ``backbone.`` (of a timm model) does not count, since we cannot rebuild it.
    """
    found = _prefixes(state_dict, 'layer4.0.conv1.weight')
    prefix = next((prefix for prefix in found if f'{prefix}conv1.weight' in state_dict), None)
    wrapped = prefix is not None and prefix not in LAYOUTS and prefix.startswith('backbone.')
    return None if wrapped else prefix


def load_backbone(checkpoint: Source, network: nn.Module, whole: bool = True) -> Match:
    """Load the backbone of a checkpoint into a network, or refuse.

    Args:
        checkpoint: A file (its path or its content), or tensors by key.
        network: A backbone, or a plain class of torchvision or timm with the same keys.
        whole: Whether to refuse a ResNet that has more in its stages than the network, since its features would differ.

    Returns:
        The match.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: One of the network's keys is missing or has another shape, the file holds a larger network, or
            weights that are not finite, or reading it is refused.
    """
    if isinstance(checkpoint, str | Path):
        checkpoint = read_file(checkpoint)
    place = str(checkpoint.path) if isinstance(checkpoint, WeightsFile) else 'The checkpoint'
    kind, match = type(network).__name__, match_keys(tensors_of(checkpoint), network)
    if match.matched < match.total:
        lacking = [key for key in network.state_dict() if key not in match.state_dict and not key.endswith(_COUNTER)]
        raise CheckpointError(
            f'{place} fits {match.matched} of the {match.total} keys of {kind} (all are needed, and '
            f'{shown_keys(lacking)} {"does" if len(lacking) == 1 else "do"} not fit); its keys start with '
            f"'{match.prefix}'. Give the checkpoint of this network, or build the network that it was made with "
            '(depth, base_channels, stem and in_channels decide the shapes).'
        )
    if whole and match.foreign:
        raise CheckpointError(
            f'{place} holds {match.foreign}, which this {kind} does not have, so its features would differ: build the '
            'network that the file was made with (a plain ResNet of another depth, or one that mmssl does not have).'
        )
    check_finite(match.state_dict, place)
    network.load_state_dict(match.state_dict, strict=False)
    return match


def check_finite(tensors: Mapping[str, Tensor], place: str | Path) -> None:
    """Refuse weights that are not finite: everything computed with them would be NaN.

    Args:
        tensors: Tensors by key.
        place: Where they come from, for the message.

    Raises:
        CheckpointError: Weights are NaN or infinite; the message names them.
    """
    learned = {key: tensor for key, tensor in tensors.items() if not key.endswith(_NOT_LEARNED)}
    lost = [key for key, tensor in learned.items() if not is_finite(tensor)]
    if lost:
        raise CheckpointError(
            f'{place} holds NaN or infinity in {len(lost)} of {len(learned)} tensors ({shown_keys(lost, 3)}): its '
            'training had failed before it was written. Give an earlier checkpoint.'
        )


def is_finite(tensor: Tensor) -> bool:
    """Whether no number of a tensor is NaN or infinite."""
    whole = tensor.float() if tensor.element_size() == 1 else tensor  # of eight bits, PyTorch says nothing
    return bool(torch.isfinite(whole).all())


def shown_keys(keys: Sequence[str], most: int = 6) -> str:
    """Name keys in a sentence: all of a few, otherwise the first and how many there are.

    Args:
        keys: The keys.
        most: Maximum number of keys to name.
    """
    rest = len(keys) - most
    return ', '.join(keys) if rest <= 0 else f'{", ".join(keys[:most])} and {rest} more'


def strip_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose keys start with a prefix, without that prefix."""
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}


def _tensors_in(content: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    own = (content[key] for key in _PLACES if isinstance(content.get(key), Mapping))
    found = next(own, content)
    tensors = {key: value for key, value in found.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError(f'{path} holds no tensors, nor do {", ".join(_PLACES)} in it: give a checkpoint.')
    return tensors


def _prefixes(state_dict: Mapping[str, Tensor], key: str) -> list[str]:
    found = {name[: -len(key)] for name in state_dict if name.endswith(key)}
    known = [prefix for prefix in LAYOUTS if prefix in found]
    return known + sorted(found.difference(known), key=lambda prefix: (len(prefix), prefix))


def _match(state_dict: Mapping[str, Tensor], wanted: Mapping[str, Tensor], wrapper: str, prefix: str) -> Match:
    places = {key: prefix + key.removeprefix(wrapper) for key in wanted}
    found = {
        key: state_dict[place]
        for key, place in places.items()
        if place in state_dict and state_dict[place].shape == wanted[key].shape
    }
    used = {places[key] for key in found}
    left_over = tuple(key for key in state_dict if key not in used)
    total = sum(not key.endswith(_COUNTER) for key in wanted)
    parts = frozenset(key.removeprefix(wrapper).partition('.')[0] for key in wanted)
    return Match(prefix, found, total, left_over, wrapper, parts)


def _common_prefix(state_dict: Mapping[str, Tensor]) -> str:
    return next(iter(state_dict), '').split('.')[0] + '.'


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors of a file, and its config in the form of a checkpoint's content; that is empty without a config."""
    try:
        tensors = safetensors.torch.load_file(path)
        with safetensors.safe_open(path, 'pt') as file:
            metadata = file.metadata() or {}
    except Exception as error:  # of several kinds, where the header is damaged
        raise CheckpointError(
            f'{path} cannot be read as safetensors ({one_line(error)}): give a complete file.'
        ) from error
    if not tensors:
        raise CheckpointError(f'{path} holds no tensors: give a checkpoint.')
    return tensors, _config_in(metadata, path)


def _config_in(metadata: Mapping[str, str], path: Path) -> dict[str, Any]:
    if CONFIG_KEY not in metadata:
        return {}
    try:
        return {'meta': {'config': json.loads(metadata[CONFIG_KEY])}}
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f'{path} has a damaged {CONFIG_KEY} in its metadata: get the file again.') from error
