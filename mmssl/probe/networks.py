"""The networks that a probe compares: those of checkpoints, the same untrained, and the bare pixels."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.device import get_device
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from mmssl.evaluation import RawPixels
from mmssl.functional import random_state_kept, seed_cpu
from mmssl.models import DataPreprocessor
from mmssl.models.modes import eval_mode
from mmssl.probe.trained import Recipe, load_trained

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


class ComparedNetwork(NamedTuple):
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


def untrained_network(
    recipe: Recipe, name: str, size: int | None = None, stages: bool = False, seed: int = 0, grid: int = 1
) -> ProbedNetwork:
    """The network of a recipe with the weights that a seed draws.

    Args:
        recipe: How the network is built.
        name: What to call it.
        size: Side of the images; by default the recipe's, else 32 where the stem is one for small images, else 224.
        stages: Whether the features are those of every stage.
        seed: Of the weights.
        grid: As in :class:`ProbedNetwork`.
    """
    with random_state_kept():
        seed_cpu(seed)
        backbone = recipe.build()
    backbone.to(memory_format=torch.channels_last)  # convolutions on CPUs run 1.4 to 2 times as fast
    small = isinstance(getattr(backbone, 'maxpool', None), nn.Identity)
    size = size or recipe.size or (_SMALL if small else _LARGE)
    return ProbedNetwork(name, backbone, DataPreprocessor(recipe.mean, recipe.std), size, stages, grid)


def compared_networks(
    checkpoints: Sequence[str | Path],
    config: Config | None = None,
    size: int | None = None,
    stages: bool = False,
    seed: int = 0,
    grid: int = 1,
) -> list[ComparedNetwork]:
    """The networks of checkpoints, each with its baselines, which checkpoints of the same kind share.

    Args:
        checkpoints: Files, each read once; see :attr:`Trained.recipe <mmssl.probe.Trained.recipe>`.
        config: Of their training, instead of what the files say.
        size: Side of the images in pixels; by default what the config says, else 32 or 224, by the stem.
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
        trained = load_trained(path, config)
        recipe = trained.recipe
        network = untrained_network(recipe, name, size, stages, seed, grid).to(get_device())
        image = (network.size, network.channels)
        kind = (repr(network.backbone), network.size, recipe.mean, recipe.std)
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
    """Every network once: raw pixels, untrained ones, then those of the checkpoints."""
    places = ('pixels', 'untrained', 'network')
    return list(dict.fromkeys(getattr(compared, place) for place in places for compared in found))


def titles(paths: Sequence[str | Path]) -> list[str]:
    """Names of files, with as many of their folders as tell them apart."""
    parts = [Path(path).parts for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        names = [str(Path(*part[-length:])) for part in parts]
        if len(set(names)) == len(set(parts)):
            return names
    return [str(path) for path in paths]
