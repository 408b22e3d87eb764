"""The networks that a probe compares: those of checkpoints, the same networks untrained, and raw pixels."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.device import get_device
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from mmssl.datasets import UniformFrames
from mmssl.evaluation import RawPixels
from mmssl.functional import random_state_kept, seed_cpu
from mmssl.models import DataPreprocessor
from mmssl.models.algorithms.base import pooled_stages
from mmssl.models.modes import eval_mode
from mmssl.probe.trained import Recipe, load_trained

_SMALL, _LARGE = 32, 224  # pixels


class ProbedNetwork(nn.Module):
    """Backbone with the interface of an algorithm: features of its last stage, or of all stages concatenated.

    Args:
        name: Name of the network.
        backbone: Gives a tuple of feature maps.
        data_preprocessor: Normalises the images.
        size: Side of the images in pixels.
        stages: Whether to use the features of all stages.
        grid: Side of the grid that a map is averaged to; 1 averages over the whole image.
        frames: Frames of a clip, for a network on clips.

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
        frames: UniformFrames | None = None,
    ) -> None:
        super().__init__()
        if frames and grid > 1:
            raise ValueError(f'Features on a grid of {grid} x {grid} are for images, but this network takes clips.')
        self.grid, self.frames = grid, frames
        self.name, self.backbone, self.data_preprocessor = name, backbone, data_preprocessor
        self.size, self.channels = size, data_preprocessor.mean.shape[1]
        self.first = 0
        with torch.no_grad(), eval_mode(self):
            time = (frames.length,) if frames else ()
            rows = self._rows(torch.zeros(1, self.channels, *time, size, size))
        self.first = 0 if stages else len(rows) - 1
        cells = f'_{grid}x{grid}' if grid > 1 else ''
        self.layers = {f'stage{place}{cells}': row.shape[1] for place, row in enumerate(rows, 1) if place > self.first}

    def extract_feat(self, images: Tensor) -> Tensor:
        """Features of the chosen stages: ``(B, C, H, W)`` to ``(B, sum of widths)``."""
        return torch.cat(self._rows(images), dim=1)

    def _rows(self, images: Tensor) -> list[Tensor]:
        if self.grid == 1:
            return pooled_stages(self.backbone, images)[self.first :]
        maps = self.backbone(images)[self.first :]
        return [adaptive_avg_pool2d(features, self.grid).flatten(1) for features in maps]


class ProbedPixels(RawPixels):
    """Raw pixels, flattened by :class:`~mmssl.evaluation.RawPixels`.

    Args:
        size: Side of the images in pixels.
        channels: Channels of the images.
        frames: Frames of a clip, for clips.

    Attributes:
        layers: Number of values per image, under ``'pixels'``.
    """

    name = 'raw pixels'

    def __init__(self, size: int, channels: int, frames: UniformFrames | None = None) -> None:
        super().__init__()
        self.size, self.channels, self.frames = size, channels, frames
        self.layers = {'pixels': channels * (frames.length if frames else 1) * min(size, self.side) ** 2}


class ComparedNetwork(NamedTuple):
    """A checkpoint's network with its baselines.

    Attributes:
        network: The network with the weights of the checkpoint.
        untrained: The same network with random weights from a seed.
        pixels: Raw pixels of the images that the network gets.
        recipe: How the network is built.
    """

    network: ProbedNetwork
    untrained: ProbedNetwork
    pixels: ProbedPixels
    recipe: Recipe


def untrained_network(
    recipe: Recipe, name: str, size: int | None = None, stages: bool = False, seed: int = 0, grid: int = 1
) -> ProbedNetwork:
    """Build the network of a recipe with random weights from a seed.

    Args:
        recipe: How the network is built.
        name: Name of the network.
        size: Side of the images in pixels; by default the recipe's, else 32 with a stem for small images, else 224.
        stages: Whether to use the features of all stages.
        seed: Seed of the weights.
        grid: Side of the grid, as in :class:`ProbedNetwork`.
    """
    with random_state_kept():
        seed_cpu(seed)
        backbone = recipe.build()
    if recipe.frames is None:
        backbone.to(memory_format=torch.channels_last)  # convolutions on CPUs run 1.4 to 2 times as fast
    small = isinstance(getattr(backbone, 'maxpool', None), nn.Identity)
    size = size or recipe.size or (_SMALL if small else _LARGE)
    preprocessor = DataPreprocessor(recipe.mean, recipe.std)
    return ProbedNetwork(name, backbone, preprocessor, size, stages, grid, recipe.frames)


def compared_networks(
    checkpoints: Sequence[str | Path],
    config: Config | None = None,
    size: int | None = None,
    stages: bool = False,
    seed: int = 0,
    grid: int = 1,
) -> list[ComparedNetwork]:
    """Load the networks of checkpoints, each with its baselines; checkpoints of the same kind share them.

    Args:
        checkpoints: Files, each read once; see :attr:`Trained.recipe <mmssl.probe.Trained.recipe>`.
        config: Config of their training, used instead of what the files say.
        size: Side of the images in pixels; by default the config's, else 32 or 224, depending on the stem.
        stages: Whether to use the features of all stages.
        seed: Seed of the untrained networks.
        grid: Side of the grid, as in :class:`ProbedNetwork`.

    Returns:
        One entry per checkpoint, in order, on the device of the run.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: A checkpoint does not fit, or its normalisation is unknown.
    """
    pixels: dict[tuple, ProbedPixels] = {}
    untrained: dict[tuple, ProbedNetwork] = {}
    found: list[ComparedNetwork] = []
    for path, name in zip(checkpoints, titles(checkpoints)):
        trained = load_trained(path, config)
        recipe = trained.recipe
        network = untrained_network(recipe, name, size, stages, seed, grid).to(get_device())
        image = (network.size, network.channels, network.frames)
        kind = (repr(network.backbone), network.size, network.frames, recipe.mean, recipe.std)
        if kind not in untrained:
            untrained[kind] = copy.deepcopy(network)
            untrained[kind].name = f'untrained (as {name})' if found else 'untrained'
        if image not in pixels:
            pixels[image] = ProbedPixels(*image)
            pixels[image].name += f' (as {name})' if found else ''
        trained.fill(network.backbone)
        found.append(ComparedNetwork(network, untrained[kind], pixels[image], recipe))
    return found


def in_order(found: Sequence[ComparedNetwork]) -> list[nn.Module]:
    """Every network once: raw pixels, untrained networks, then the checkpoints."""
    places = ('pixels', 'untrained', 'network')
    return list(dict.fromkeys(getattr(compared, place) for place in places for compared in found))


def titles(paths: Sequence[str | Path]) -> list[str]:
    """Names of files, with as many parent folders as make them unique."""
    parts = [Path(path).parts for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        names = [str(Path(*part[-length:])) for part in parts]
        if len(set(names)) == len(set(parts)):
            return names
    return [str(path) for path in paths]
