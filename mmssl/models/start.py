"""Start a backbone from weights that exist: ours or others', also for another number of channels."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from mmssl.checkpoint import CheckpointError
from mmssl.dependencies import require
from mmssl.download import download, file_hash
from mmssl.files import cache_folder
from mmssl.registry import MODELS
from mmssl.weights import Match, WeightsFile, load_backbone, match_keys, read_file, shown_keys
from mmssl.words import near_names

__all__ = ['Start', 'build_backbone', 'fill_backbone', 'find_weights', 'fit_channels']

_FILES = ('.pth', '.pt', '.tar', '.bin', '.ckpt', '.safetensors')
_HASH = re.compile(r'-([0-9a-f]{8,})\.')  # in the names of the files of torchvision and timm: the start of their sha256
_SHA256 = re.compile(r'[0-9a-f]{64}')
_SOURCES = ('torchvision', 'timm')


@dataclass(frozen=True)
class Start:
    """What a backbone took from a file.

    Attributes:
        path: The file.
        match: How the keys fit.
        changes: Sentences about the tensors that were converted.
    """

    path: Path
    match: Match
    changes: tuple[str, ...] = ()

    def __str__(self) -> str:
        match = self.match
        behind = f' (behind {match.layout})' if match.prefix else ''
        left = _shown_parts([key for key in match.left_over if not key.endswith('num_batches_tracked')])
        count = f'{match.matched} of {match.total} tensors of the backbone from {self.path}{behind}'
        return '; '.join([count, *self.changes, f'left out: {left or "nothing"}'])


def build_backbone(backbone: nn.Module | dict) -> nn.Module:
    """Build a backbone from its config, without the weights that ``init`` names.

    The Runner reads them at the start of a training (:attr:`~mmssl.engine.Runner.init`), so a network that is built to
    load a checkpoint reads no other file.

    Args:
        backbone: Module, which is returned unchanged, or its config, of any backbone, with or without ``init``: a file
            or a name for :func:`find_weights`.

    Returns:
        The backbone; ``init`` is an attribute of it, if there was one.
    """
    if not isinstance(backbone, dict):
        return backbone
    settings = dict(backbone)
    init = settings.pop('init', None)
    built = MODELS.build(settings)
    if init:
        built.init = str(init)
    return built


def fill_backbone(backbone: nn.Module, weights: str | Path | WeightsFile) -> Start:
    """Load the weights of a file into a backbone: every key of it, and nothing but a classifier or heads left out.

    If the file was made for another number of channels, the first convolution is converted by :func:`fit_channels`.
    Position embeddings of a transformer of timm are resampled to its grid.

    Args:
        backbone: The network; filled in place.
        weights: A file of any project, see :func:`~mmssl.weights.read_file`.

    Returns:
        What was taken; its text counts it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A key of the backbone is missing or has another shape, or the file holds parts of a backbone that
            this one lacks. Nothing is loaded then.
    """
    file = weights if isinstance(weights, WeightsFile) else read_file(weights)
    tensors, changes = _fitted(file.tensors, backbone)
    match = match_keys(tensors, backbone)
    if match.matched == match.total and match.unknown and not match.foreign:
        raise CheckpointError(
            f'{file.path} holds {shown_keys(match.unknown)}, which {type(backbone).__name__} has no place for, so its '
            'features would differ: build the network that the file was made with, or, if these belong to a head, '
            'save the weights of the backbone alone.'
        )
    return Start(file.path, load_backbone(replace(file, tensors=tensors), backbone), tuple(changes))


def fit_channels(weight: Tensor, channels: int) -> Tensor:
    """Convert the weights of a first convolution to another number of channels.

    The channels are repeated in their order as often as they fit, the rest get their mean, and all are scaled by the
    ratio of the numbers. So an image whose channels are equal gives the same response as before: 3 to 1 is the sum, 3
    to 12 repeats each channel four times at a quarter.

    Args:
        weight: Shape ``(D, C, ...)``.
        channels: The new number of channels, ``N``.

    Returns:
        Shape ``(D, N, ...)``.
    """
    given = weight.shape[1]
    times, rest = divmod(channels, given)
    mean = weight.mean(dim=1, keepdim=True)
    return torch.cat([weight] * times + [mean] * rest, dim=1) * (given / channels)


def find_weights(what: str) -> Path:
    """Find the file of some weights, and download it if a name of torchvision or timm says so.

    Args:
        what: A file, the work directory of a run, or the name of weights: ``'torchvision:resnet50'``,
            ``'torchvision:resnet50.IMAGENET1K_V1'``, ``'timm:resnet50.a1_in1k'``, or without the project where only one
            has the name.

    Returns:
        The file, whose hash was compared with the published one; or the folder.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The name is unknown or ambiguous, or the file differs from the published one.
        DownloadError: The file cannot be downloaded.
        ImportError: timm is not installed.
    """
    if Path(what).exists():
        return Path(what)
    if Path(what).suffix in _FILES:
        raise FileNotFoundError(f'No checkpoint at {what}: give the path of an existing file.')
    source, colon, name = what.partition(':')
    if not colon:
        source, name = _only_source(what), what
    if source not in _SOURCES:
        raise CheckpointError(f'Weights {what!r}: write torchvision:NAME or timm:NAME, or give the path of a file.')
    return _from_torchvision(name) if source == 'torchvision' else _from_timm(name)


def _fitted(tensors: Mapping[str, Tensor], backbone: nn.Module) -> tuple[dict[str, Tensor], list[str]]:
    """Convert the first convolution and the position embeddings where only channels or grid differ."""
    match, fitted, changes = match_keys(tensors, backbone), dict(tensors), []
    own = backbone.state_dict()
    first = next((f'{name}.weight' for name, part in backbone.named_modules() if isinstance(part, _ConvNd)), None)
    for key in own.keys() - match.state_dict.keys():
        place = match.prefix + key.removeprefix(match.wrapper)
        if place not in tensors:
            continue
        given, wanted = tensors[place], own[key]
        if key == first and _differ_in_channels(given, wanted):
            fitted[place] = fit_channels(given, wanted.shape[1])
            changes.append(_channels_sentence(place, given.shape[1], wanted.shape[1]))
        elif key.endswith('pos_embed') and (grid := _grid(backbone)) and given.dim() == wanted.dim() == 3:
            fitted[place] = _resampled(given, wanted, grid)
            changes.append(f'{place} resampled from {given.shape[1]} to {wanted.shape[1]} tokens')
    return fitted, changes


def _differ_in_channels(given: Tensor, wanted: Tensor) -> bool:
    return given.dim() == wanted.dim() and given.shape[0] == wanted.shape[0] and given.shape[2:] == wanted.shape[2:]


def _channels_sentence(key: str, given: int, wanted: int) -> str:
    times, rest = divmod(wanted, given)
    how = ' and '.join(['repeated'] * bool(times) + ['averaged'] * bool(rest))
    return f'{key} {how} from {given} to {wanted} channels'


def _grid(backbone: nn.Module) -> tuple[int, int] | None:
    """Patches of a transformer of timm, in rows and columns."""
    return getattr(getattr(getattr(backbone, 'model', None), 'patch_embed', None), 'grid_size', None)


def _resampled(given: Tensor, wanted: Tensor, grid: tuple[int, int]) -> Tensor:
    """Position embeddings for another grid; as given where the tokens beside the patches differ too."""
    beside = wanted.shape[1] - grid[0] * grid[1]
    side = round(max(given.shape[1] - beside, 0) ** 0.5)
    if side * side != given.shape[1] - beside:
        return given
    resample = require('timm').layers.resample_abs_pos_embed
    return resample(given, new_size=list(grid), num_prefix_tokens=beside)


def _shown_parts(keys: list[str]) -> str:
    """Name a few keys, or the parts of a file that many keys belong to, with their numbers."""
    if len(keys) <= 4:
        return ', '.join(keys)
    numbers: dict[str, int] = {}
    for key in keys:
        parts = key.split('.')
        name = '.'.join(parts[:2] if parts[0] == 'module' else parts[:1])
        numbers[name] = numbers.get(name, 0) + 1
    return ', '.join(f'{name} ({number})' for name, number in numbers.items())


def _only_source(name: str) -> str:
    """The project that has weights of a name.

    Raises:
        ValueError: None has, or both have.
    """
    names = {'torchvision': set(torchvision.models.list_models()), 'timm': _timm_names()}
    found = [source for source in _SOURCES if name in names[source]]
    if not found and name.partition('.')[0] in names['torchvision']:  # its names of weights stand behind the model's
        found = ['torchvision']
    if len(found) == 1:
        return found[0]
    if found:
        raise CheckpointError(f'Both torchvision and timm have {name!r}: write torchvision:{name} or timm:{name}.')
    near = near_names(name, names['torchvision'] | names['timm'])
    raise CheckpointError(
        f'{name!r} is no file, no name of the model zoo, and no model of torchvision or timm (near names: '
        f'{near}): give the path of a file, or torchvision:NAME or timm:NAME.'
    )


def _timm_names() -> set[str]:
    """Names of timm with weights, with and without the tag of the weights; none if timm is not installed."""
    try:
        names = require('timm').list_pretrained()
    except ImportError:
        return set()
    return {*names, *(name.partition('.')[0] for name in names)}


def _from_torchvision(name: str) -> Path:
    model, _, version = name.partition('.')
    if model not in torchvision.models.list_models():
        near = near_names(model, torchvision.models.list_models())
        raise CheckpointError(f'torchvision has no model {model!r} (near names: {near}).')
    versions = torchvision.models.get_model_weights(model)
    if version and version not in versions.__members__:
        names = ', '.join(versions.__members__)
        raise CheckpointError(f'torchvision has no weights {version!r} of {model}, but {names}: write one of them.')
    return _download((versions[version] if version else versions.DEFAULT).url)


def _from_timm(name: str) -> Path:
    timm = require('timm')
    if name not in _timm_names():
        near = near_names(name, _timm_names())
        raise CheckpointError(
            f'timm has no weights {name!r} (near names: {near}): choose one of timm.list_pretrained().'
        )
    config = timm.get_pretrained_cfg(name)
    return _from_hub(config) if config.hf_hub_id else _download(config.url)


def _download(url: str) -> Path:
    file = url.rpartition('/')[2]
    known = _HASH.search(file)
    return download(url, cache_folder() / file, f'sha256:{known[1]}' if known else '')


def _from_hub(config: Any) -> Path:
    """The file of a model of timm in the cache of Hugging Face's client, which names it by its published sha256."""
    import huggingface_hub

    name = config.hf_hub_filename or 'model.safetensors'
    try:
        path = Path(huggingface_hub.hf_hub_download(config.hf_hub_id, name))
    except OSError as error:
        raise FileNotFoundError(
            f'{name} of {config.hf_hub_id} cannot be fetched from the Hugging Face hub ({type(error).__name__}): '
            f'download it from https://huggingface.co/{config.hf_hub_id} where there is internet, and give the path of '
            'the file.'
        ) from error
    published = path.resolve().name
    if _SHA256.fullmatch(published) and file_hash(path) != published:
        raise CheckpointError(f'{path} is not the published file: delete {path.resolve()} and download it again.')
    return path
