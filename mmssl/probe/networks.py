"""The networks that a probe compares: those of checkpoints, the same untrained, and the bare pixels."""

import ast
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.device import get_device
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from mmssl.checkpoint import read_checkpoint
from mmssl.evaluation import RawPixels
from mmssl.export import architecture_of, backbone_weights, empty_backbone, load_backbone
from mmssl.functional import random_state_kept, seed_cpu
from mmssl.models import DataPreprocessor
from mmssl.models.modes import eval_mode
from mmssl.registry import MODELS

_SMALL, _LARGE = 32, 224  # pixels


class ProbedNetwork(nn.Module):
    """A backbone in the place of an algorithm: its features are its last stage, or all of them side by side.

    Args:
        name: What to call it.
        backbone: Gives a tuple of feature maps.
        data_preprocessor: Normalises the images.
        size: Side of the images in pixels.
        stages: Whether the features are those of every stage.
        grid: Side of the grid that a map is averaged to: 1 averages over the whole image.

    Attributes:
        layers: Width of the features of each stage, by name.
    """

    def __init__(
        self,
        name: str,
        backbone: nn.Module,
        data_preprocessor: DataPreprocessor,
        size: int,
        stages: bool = False,
        grid: int = 1,
    ) -> None:
        super().__init__()
        self.grid = grid
        self.name, self.backbone, self.data_preprocessor = name, backbone, data_preprocessor
        self.size, self.channels = size, data_preprocessor.mean.shape[1]
        self.first = 0
        with torch.no_grad(), eval_mode(self):
            rows = self._rows(torch.zeros(1, self.channels, size, size))
        self.first = 0 if stages else len(rows) - 1
        cells = f'_{grid}x{grid}' if grid > 1 else ''
        self.layers = {f'stage{place}{cells}': row.shape[1] for place, row in enumerate(rows, 1) if place > self.first}

    def extract_feat(self, images: Tensor) -> Tensor:
        """Features of the chosen stages: ``(B, C, H, W)`` to ``(B, sum of widths)``."""
        return torch.cat(self._rows(images), dim=1)

    def _rows(self, images: Tensor) -> list[Tensor]:
        maps = self.backbone(images)[self.first :]
        if self.grid > 1:
            return [adaptive_avg_pool2d(features, self.grid).flatten(1) for features in maps]
        pool = getattr(self.backbone, 'pool', lambda features: features.mean(dim=(2, 3)))
        return [pool(features) for features in maps]


class ProbedPixels(RawPixels):
    """The bare pixels, as :class:`~mmssl.evaluation.RawPixels` lays them out.

    Args:
        size: Side of the images in pixels.
        channels: Of the images.

    Attributes:
        layers: Number of values of an image, under ``'pixels'``.
    """

    name = 'raw pixels'

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.size, self.channels = size, channels
        self.layers = {'pixels': channels * min(size, self.side) ** 2}


@dataclass(frozen=True)
class Recipe:
    """How the network of a checkpoint is built, its weights aside.

    Attributes:
        build: Makes the backbone, with weights from torch's generator.
        mean: Of each channel, in the units of the images.
        std: Of each channel.
        source: Where mean and std come from, in words.
    """

    build: Callable[[], nn.Module]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str = field(compare=False)

    def network(
        self, name: str, size: int | None = None, stages: bool = False, seed: int = 0, grid: int = 1
    ) -> ProbedNetwork:
        """The network with the weights that a seed draws.

        Args:
            name: What to call it.
            size: Side of the images; by default 32 where the stem is one for small images, else 224.
            stages: Whether the features are those of every stage.
            seed: Of the weights.
            grid: As in :class:`ProbedNetwork`.
        """
        with random_state_kept():
            seed_cpu(seed)
            backbone = self.build()
        backbone.to(memory_format=torch.channels_last)  # convolutions on CPUs run 1.4 to 2 times as fast
        small = isinstance(getattr(backbone, 'maxpool', None), nn.Identity)
        size = size or (_SMALL if small else _LARGE)
        return ProbedNetwork(name, backbone, DataPreprocessor(self.mean, self.std), size, stages, grid)


class Contestant(NamedTuple):
    """A checkpoint's network with its baselines.

    Attributes:
        network: With the weights of the checkpoint.
        untrained: The same network with the weights that a seed draws.
        pixels: The images as the network gets them.
        recipe: How the network is built.
    """

    network: ProbedNetwork
    untrained: ProbedNetwork
    pixels: ProbedPixels
    recipe: Recipe


def contestants(
    checkpoints: Sequence[str | Path],
    config: Config | None = None,
    size: int | None = None,
    stages: bool = False,
    seed: int = 0,
    grid: int = 1,
) -> list[Contestant]:
    """The networks of checkpoints, each with its baselines, which checkpoints of the same kind share.

    Args:
        checkpoints: Files; each is built from its weights alone.
        config: Of their training: its ``model.backbone`` and ``model.data_preprocessor`` are taken instead.
        size: Side of the images in pixels; by default 32 or 224, by the stem.
        stages: Whether the features are those of every stage.
        seed: Of the untrained networks.
        grid: As in :class:`ProbedNetwork`.

    Returns:
        One for each checkpoint, in order, on the device of the run.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: A checkpoint does not fit, or its normalisation is not known.
    """
    pixels: dict[tuple[int, int], ProbedPixels] = {}
    untrained: dict[tuple, ProbedNetwork] = {}
    found = []
    for path, name in zip(checkpoints, titles(checkpoints)):
        weights = backbone_weights(path)
        recipe = recipe_of(path, weights, config)
        network = recipe.network(name, size, stages, seed, grid).to(get_device())
        image = (network.size, network.channels)
        kind = (repr(network.backbone), network.size, recipe.mean, recipe.std)
        if kind not in untrained:
            untrained[kind] = copy.deepcopy(network)
            untrained[kind].name = f'untrained (as {name})' if found else 'untrained'
        if image not in pixels:
            pixels[image] = ProbedPixels(*image)
            pixels[image].name += f' (as {name})' if found else ''
        load_backbone(weights, network.backbone)
        found.append(Contestant(network, untrained[kind], pixels[image], recipe))
    return found


def in_order(found: Sequence[Contestant]) -> list[nn.Module]:
    """Every network once: raw pixels, untrained ones, then those of the checkpoints."""
    places = ('pixels', 'untrained', 'network')
    return list(dict.fromkeys(getattr(contestant, place) for place in places for contestant in found))


def recipe_of(path: str | Path, weights: dict[str, Tensor], config: Config | None = None) -> Recipe:
    """How to build the network of a checkpoint.

    Args:
        path: The checkpoint.
        weights: Of its backbone.
        config: Of its training; without it the architecture is read off the weights.

    Returns:
        The recipe. The normalisation is the config's; else what the checkpoint, if mmssl wrote it, says of its
        own config; else ImageNet's for images with three channels.

    Raises:
        ValueError: The weights are not a ResNet's and there is no config, or the normalisation is not known.
    """
    if config is not None:
        stated, source = dict(config.model.get('data_preprocessor') or {}), f'those of {config.filename}'
        build, channels = partial(_backbone_of, config), None
    else:
        architecture = architecture_of(weights)
        build, channels = partial(empty_backbone, architecture), architecture.in_channels
        stated, source = recorded_normalisation(path), 'recorded in the checkpoint'
    if stated is None:
        stated, source = {}, "ImageNet's, since the checkpoint records none"
    plain = DataPreprocessor(**{key: stated[key] for key in ('mean', 'std') if key in stated})
    mean, std = (tuple(round(value, 4) for value in part.flatten().tolist()) for part in (plain.mean, plain.std))
    if channels not in (None, len(mean)):
        raise ValueError(
            f'{path} takes images of {channels} channels, and the normalisation has {len(mean)} ({source}): give the '
            'config of its training as --config.'
        )
    return Recipe(build, mean, std, source)


def recorded_normalisation(path: str | Path) -> dict[str, list[float]] | None:
    """What a checkpoint of mmssl says of ``model.data_preprocessor`` in its own config, whose text is not executed.

    Args:
        path: The checkpoint.

    Returns:
        ``mean`` and ``std`` as far as they are named; None where no config is recorded.
    """
    content = {} if Path(path).suffix == '.safetensors' else read_checkpoint(path)
    meta = content.get('meta') if isinstance(content, dict) else None
    text = meta.get('cfg') if isinstance(meta, dict) else None
    if not isinstance(text, str):
        return None
    try:
        assigned = [line for line in ast.parse(text).body if isinstance(line, ast.Assign)]
        (model,) = [line.value for line in assigned if getattr(line.targets[0], 'id', '') == 'model']
        stated = {entry.arg: entry.value for entry in model.keywords}.get('data_preprocessor')
        entries = {entry.arg: entry.value for entry in stated.keywords} if stated else {}
        return {key: ast.literal_eval(entries[key]) for key in ('mean', 'std') if key in entries}
    except (SyntaxError, ValueError, AttributeError):
        return None


def titles(paths: Sequence[str | Path]) -> list[str]:
    """Names of files, with as many of their folders as tell them apart."""
    parts = [Path(path).parts for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        names = [str(Path(*part[-length:])) for part in parts]
        if len(set(names)) == len(set(parts)):
            return names
    return [str(path) for path in paths]


def _backbone_of(config: Config) -> nn.Module:
    backbone = MODELS.build(config.model.backbone)
    if hasattr(backbone, 'out_indices'):
        backbone.out_indices = (0, 1, 2, 3)
    return backbone
