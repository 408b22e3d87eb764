"""Generated scenes of coloured shapes, with the truth about each pixel and each object."""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from mmssl.datasets.sources import ImageSource, hash_arrays
from mmssl.functional import Stream, hash_seed
from mmssl.ranges import COUNT, check_numbers
from mmssl.registry import DATASETS

SHAPES = ('circle', 'square', 'triangle', 'star')
COLOURS = {
    'red': (230, 60, 50), 'green': (60, 190, 75), 'blue': (60, 110, 240), 'yellow': (245, 200, 45),
    'white': (245, 245, 245),
}  # fmt: skip
SIZES = (0.2, 0.28)  # of the side of the image
QUADRANTS = ('upper left', 'upper right', 'lower left', 'lower right')
_FINE = 4  # how many times finer a sprite is drawn than shown
_TRIES = 1000


class Sprite(NamedTuple):
    """One object of a scene.

    Attributes:
        colour: Number in ``COLOURS``.
        shape: Number in ``SHAPES``.
        x: Centre, from 0 (left) to 1.
        y: Centre, from 0 (top) to 1.
        size: Side, as a share of the side of the image.
    """

    colour: int
    shape: int
    x: float
    y: float
    size: float


def draw_scene(sprites: Sequence[Sprite], side: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw sprites on black; later ones cover earlier ones.

    Args:
        sprites: At most 255 sprites.
        side: Side of the image in pixels.

    Returns:
        The image, uint8, ``(side, side, 3)``; and which sprite each pixel shows, counted from 1, 0 for none, uint8,
        ``(side, side)``.
    """
    image, segments = np.zeros((side, side, 3)), np.zeros((side, side), np.uint8)
    colours = np.array(list(COLOURS.values()), np.float64)
    for number, sprite in enumerate(sprites, start=1):
        cover = _cover(sprite, side)[..., None]
        image = image * (1 - cover) + colours[sprite.colour] * cover
        segments[cover[..., 0] >= 0.5] = number
    return np.rint(image).astype(np.uint8), segments


def _cover(sprite: Sprite, side: int) -> np.ndarray:
    """Share of each pixel that a sprite covers, ``(side, side)``."""
    fine = Image.new('L', (side * _FINE, side * _FINE))
    scale, half = side * _FINE, sprite.size / 2
    corners = [(scale * (sprite.x + half * x), scale * (sprite.y + half * y)) for x, y in _outline(sprite.shape)]
    ImageDraw.Draw(fine).polygon(corners, fill=255)
    return np.asarray(fine.resize((side, side), Image.Resampling.BOX), np.float64) / 255


def _outline(shape: int) -> list[tuple[float, float]]:
    """Corners of a shape in a square from -1 to 1."""
    name = SHAPES[shape]
    if name == 'square':
        return [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)]
    count, radii = {'circle': (32, [1.0]), 'triangle': (3, [1.0]), 'star': (10, [1.0, 0.45])}[name]
    turns = [2 * math.pi * place / count for place in range(count)]
    return [(radii[i % len(radii)] * math.sin(t), -radii[i % len(radii)] * math.cos(t)) for i, t in enumerate(turns)]


def place_apart(generator: np.random.Generator, sizes: Sequence[float], first: np.ndarray | None = None) -> np.ndarray:
    """Random centres of sprites that do not overlap and lie within the image.

    Args:
        generator: Where random numbers come from.
        sizes: Side of each sprite, as a share of the side of the image.
        first: Centre of the first sprite, ``(2,)``; at random by default.

    Returns:
        Shape ``(len(sizes), 2)``.

    Raises:
        ValueError: There is no room for so many.
    """
    centres: list[np.ndarray] = [] if first is None else [first]
    for _ in range(_TRIES):
        if len(centres) == len(sizes):
            return np.stack(centres)
        half = sizes[len(centres)] / 2
        centre = generator.uniform(half, 1 - half, 2)
        gaps = [np.abs(centre - other).max() - half - size / 2 for other, size in zip(centres, sizes)]
        if min(gaps, default=0) >= 0:
            centres.append(centre)
    raise ValueError(f'There is no room for {len(sizes)} sprites of up to {max(sizes):.2f} of the side: ask for fewer.')


@DATASETS.register_module()
class SpriteScenes(ImageSource):
    """Scenes of sprites on black: each follows from the seed and its number, and is drawn when it is loaded.

    Args:
        num: Number of scenes.
        objects: Number of sprites per scene.
        side: Side of a scene in pixels, at least 1.
        odd: Whether all sprites of a scene but one have the same colour and shape, and that one another colour and
            another shape. The class of the scene is then the quadrant of the odd one; otherwise all are drawn at
            random, and there are no classes.
        truth: Whether a sample has the fields ``segments``, which sprite each pixel shows (uint8, ``(side, side)``,
            counted from 1, 0 for none), and ``objects``: colour, shape, x, y and size of each sprite (float32,
            ``(objects, 5)``). They belong to the whole scene, so the views must not crop it.
        seed: Another seed gives other scenes.

    Raises:
        ValueError: ``num`` or ``objects`` is too small, or there is no room for so many sprites.
    """

    classes: list[str] | None

    def __init__(
        self, num: int, objects: int = 3, side: int = 32, odd: bool = False, truth: bool = False, seed: int = 0
    ) -> None:
        check_numbers(COUNT, side=side)
        least = 3 if odd else 1
        if num < 1 or objects < least:
            raise ValueError(f'{num} scenes of {objects} sprites: give at least 1 scene of at least {least}.')
        self.num, self.objects, self.side, self.odd, self.truth, self.seed = num, objects, side, odd, truth, seed
        self.classes = list(QUADRANTS) if odd else None
        self.sprites(0)  # refuses too many

    def __len__(self) -> int:
        return self.num

    def sprites(self, index: int) -> list[Sprite]:
        """Sprites of a scene, in the order in which they are drawn."""
        generator = np.random.default_rng(hash_seed(self.seed, Stream.SCENES, index))
        sizes = generator.choice(SIZES, self.objects)
        first = None
        if self.odd:
            quadrant = generator.integers(len(QUADRANTS))
            half = sizes[0] / 2
            first = generator.uniform(half, 0.5, 2) + np.array([quadrant % 2, quadrant // 2]) * (0.5 - half)
            kinds = odd_kinds(generator, self.objects)
        else:
            kinds = generator.integers((len(COLOURS), len(SHAPES)), size=(self.objects, 2))
        centres = place_apart(generator, sizes, first)
        return [
            Sprite(int(k[0]), int(k[1]), float(x), float(y), float(s)) for k, (x, y), s in zip(kinds, centres, sizes)
        ]

    def load(self, index: int) -> Tensor:
        """Draw a scene, uint8, shape ``(3, side, side)``."""
        return torch.from_numpy(draw_scene(self.sprites(index), self.side)[0]).permute(2, 0, 1)

    def extras(self, index: int) -> dict[str, Any]:
        """``segments`` and ``objects`` if ``truth`` is set."""
        if not self.truth:
            return {}
        sprites = self.sprites(index)
        return {'segments': draw_scene(sprites, self.side)[1], 'objects': np.array(sprites, np.float32)}

    def label(self, index: int) -> int | None:
        """Quadrant of the odd sprite, or None."""
        if not self.odd:
            return None
        first = self.sprites(index)[0]
        return int(first.x > 0.5) + 2 * int(first.y > 0.5)

    @cached_property
    def labels(self) -> Tensor | None:
        """Quadrant of the odd sprite of every scene, int64, shape ``(N,)``, or None."""
        return torch.tensor([self.label(index) for index in range(self.num)]) if self.odd else None

    def name(self, index: int) -> str:
        """Number of the scene."""
        return f'scene {index}'

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the arguments that decide the scenes."""
        return hash_arrays(np.array([self.num, self.objects, self.side, self.odd, self.seed]))


def odd_kinds(generator: np.random.Generator, count: int) -> np.ndarray:
    """Colour and shape of sprites of which the first has another colour and another shape than all others.

    Args:
        generator: Where random numbers come from.
        count: Number of sprites.

    Returns:
        Shape ``(count, 2)``; no sprite is white.
    """
    colours = generator.permutation(len(COLOURS) - 1)[:2]
    shapes = generator.permutation(len(SHAPES))[:2]
    return np.array([(colours[0], shapes[0])] + [(colours[1], shapes[1])] * (count - 1))
