"""Tiles of images as images of their own."""

import pytest
import torch

from mmssl.datasets import ArraySource, Tiles
from tests.helpers.mutation import Mutation

IMAGES = torch.arange(2 * 6 * 9, dtype=torch.uint8).reshape(2, 6, 9)


def test_tiles_overlap_by_half_and_cover_the_image():
    tiles = Tiles(ArraySource(IMAGES), grid=2)  # two thirds of each side
    assert len(tiles) == 8
    corners = [(0, 0), (0, 3), (2, 0), (2, 3)]
    for number, image in enumerate(IMAGES):
        for place, (top, left) in enumerate(corners):
            tile = tiles.load(4 * number + place)
            assert torch.equal(tile, image[None, top : top + 4, left : left + 6])


@pytest.mark.parametrize('grid', [1, 2, 3, 5])
def test_every_pixel_is_in_a_tile_whatever_the_grid(grid):
    tiles, seen = Tiles(ArraySource(IMAGES), grid), set()
    for place in range(grid**2):
        tile = tiles.load(place)
        assert tile.numel() > 0
        seen |= set(tile.flatten().tolist())
    assert seen == set(IMAGES[0].flatten().tolist())


def test_one_tile_is_the_whole_image_and_tiles_have_no_class():
    tiles = Tiles(ArraySource(IMAGES, labels=torch.tensor([0, 1])), grid=1)
    assert torch.equal(tiles.load(1), IMAGES[1][None]) and tiles.labels is None and tiles.label(0) is None


def test_a_name_says_which_tile_it_is_and_fingerprints_differ_by_grid():
    tiles = Tiles(ArraySource(IMAGES), grid=2)
    assert tiles.name(6) == f'{tiles.source.name(1)} (tile 2, 1)'
    assert tiles.fingerprint != Tiles(ArraySource(IMAGES), grid=3).fingerprint


def test_no_tiles_are_refused():
    with pytest.raises(ValueError, match='0 tiles along a side: give a number from 1'):
        Tiles(ArraySource(IMAGES), grid=0)


MUTATIONS = [
    Mutation(
        'the last tiles do not reach the edge of the image',
        'mmssl/datasets/tiles.py',
        '(side - length) * step // max(self.grid - 1, 1)',
        '(side - length) * step // self.grid',
    ),
]
