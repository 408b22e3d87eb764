"""Parts of large images as images of their own."""

from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor

from mmssl.datasets.sources import ImageSource, build_source, hash_arrays
from mmssl.registry import DATASETS


@DATASETS.register_module()
class Tiles(ImageSource):
    """Overlapping tiles of the images of another source, each an image of its own, without a class.

    A photograph for a detector shows many things, and two crops of it show different ones: told to agree, a network
    learns what the photographs have in common, such as their colour. Two crops of one tile show the same thing, at the
    size that a detector will see it in.

    A tile has ``2 / (grid + 1)`` of the height and of the width; neighbours overlap by half.

    Args:
        source: Source or its config.
        grid: Number of tiles along each side.

    Raises:
        ValueError: ``grid`` is below 1.
    """

    def __init__(self, source: ImageSource | dict, grid: int) -> None:
        if grid < 1:
            raise ValueError(f'{grid} tiles along a side: give a number from 1.')
        self.source, self.grid = build_source(source), grid

    def __len__(self) -> int:
        return len(self.source) * self.grid**2

    def load(self, index: int) -> Tensor:
        """Load a tile, uint8 or uint16, shape ``(C, H, W)``.

        Args:
            index: From 0 to ``len(self) - 1``; all tiles of an image follow each other.

        Raises:
            UnreadableImageError: The image cannot be decoded.
        """
        number, place = divmod(index, self.grid**2)
        image = self.source.load(number)
        for dim, step in zip((1, 2), divmod(place, self.grid)):
            start, length = self._span(step, image.shape[dim])
            image = image.narrow(dim, start, length)
        return image

    def _span(self, step: int, side: int) -> tuple[int, int]:
        """First pixel and number of pixels of a tile along a side."""
        length = max(2 * side // (self.grid + 1), 1)
        return (side - length) * step // max(self.grid - 1, 1), length

    def name(self, index: int) -> str:
        """Name of the image, and the tile's row and column in it, from 1."""
        number, place = divmod(index, self.grid**2)
        row, column = divmod(place, self.grid)
        return f'{self.source.name(number)} (tile {row + 1}, {column + 1})'

    def path(self, index: int) -> Path | None:
        """File of the image that the tile is a part of, if it has one."""
        return self.source.path(index // self.grid**2)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the source's fingerprint and the grid."""
        return hash_arrays(np.frombuffer(f'{self.source.fingerprint} {self.grid}'.encode(), np.uint8))
