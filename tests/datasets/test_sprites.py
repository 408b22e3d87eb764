"""Scenes of sprites: what they show, the truth about them, and that they follow from seed and number."""

import numpy as np
import pytest
import torch

from mmssl.datasets import ImageDataset, MultiView, SpriteScenes, View, collate
from mmssl.datasets.sprites import COLOURS, QUADRANTS, SHAPES, Sprite, draw_scene
from tests.helpers.mutation import Mutation


def test_a_sprite_has_its_colour_at_its_place_and_later_ones_cover_it():
    red, blue = Sprite(0, 1, 0.25, 0.5, 0.4), Sprite(2, 1, 0.4, 0.5, 0.4)
    image, segments = draw_scene([red, blue], 40)
    assert image.dtype == np.uint8 and image.shape == (40, 40, 3) and segments.shape == (40, 40)
    assert tuple(image[20, 5]) == COLOURS['red'] and segments[20, 5] == 1
    assert tuple(image[20, 14]) == COLOURS['blue'] and segments[20, 14] == 2
    assert not image[2, 2].any() and segments[2, 2] == 0 and segments[20, 30] == 0


@pytest.mark.parametrize('shape', SHAPES)
def test_shapes_differ_and_stay_within_their_size(shape):
    masks = [draw_scene([Sprite(0, number, 0.5, 0.5, 0.5)], 64)[1] for number in range(len(SHAPES))]
    own = masks.pop(SHAPES.index(shape))
    rows, columns = np.nonzero(own)
    assert min(rows.min(), columns.min()) >= 15 and max(rows.max(), columns.max()) <= 48
    assert own.sum() > 250 and min((own != other).sum() for other in masks) > 100


def test_a_scene_follows_from_seed_and_number_alone():
    one, again, other = SpriteScenes(9), SpriteScenes(20), SpriteScenes(9, seed=1)
    for index in (0, 7):
        assert torch.equal(one.load(index), again.load(index)) and not torch.equal(one.load(index), other.load(index))
    assert len({source.fingerprint for source in (one, again, other, SpriteScenes(9, odd=True))}) == 4
    assert one.labels is None and one.classes is None and one.extras(0) == {}


def test_the_truth_is_what_the_image_shows():
    source = SpriteScenes(20, objects=4, side=48, truth=True)
    for index in range(20):
        image, truth = source.load(index).permute(1, 2, 0).numpy(), source.extras(index)
        assert truth['objects'].shape == (4, 5) and set(np.unique(truth['segments'])) == set(range(5))
        for number, (colour, _, x, y, _) in enumerate(truth['objects'], start=1):
            rows, columns = np.nonzero(truth['segments'] == number)
            assert abs(columns.mean() / 48 - x) < 0.04 and abs(rows.mean() / 48 - y) < 0.06
            middle = image[int(y * 48), int(x * 48)]
            assert tuple(middle) == list(COLOURS.values())[int(colour)]
        assert not image[truth['segments'] == 0].max() > 200  # edges are mixed with black


def test_the_class_is_the_quadrant_of_the_odd_sprite():
    source = SpriteScenes(200, odd=True)
    assert source.classes == list(QUADRANTS) and source.labels.bincount(minlength=4).min() > 30
    for index in range(200):
        kinds = [sprite[:2] for sprite in source.sprites(index)]
        assert kinds[0][0] != kinds[1][0] and kinds[0][1] != kinds[1][1] and len(set(kinds[1:])) == 1
        x, y = source.sprites(index)[0][2:4]
        assert source.label(index) == int(source.labels[index]) == (x > 0.5) + 2 * (y > 0.5)


def test_the_fields_travel_to_the_batch():
    view = dict(type=View, size=32, scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0)
    dataset = ImageDataset(SpriteScenes(3, truth=True), dict(type=MultiView, counts=[1], views=[view]))
    batch = collate([dataset[index] for index in range(3)])
    assert torch.equal(batch['inputs'][0][1], dataset.source.load(1))
    assert batch['extras']['segments'].shape == (3, 32, 32) and batch['extras']['segments'].dtype == torch.uint8
    assert batch['extras']['objects'].shape == (3, 3, 5)


def test_what_cannot_be_drawn_is_refused_with_what_to_give():
    with pytest.raises(ValueError, match='0 scenes of 3 sprites: give at least 1 scene of at least 1'):
        SpriteScenes(0)
    with pytest.raises(ValueError, match='of at least 3'):
        SpriteScenes(5, objects=2, odd=True)
    with pytest.raises(ValueError, match='no room for 40 sprites'):
        SpriteScenes(5, objects=40)


MUTATIONS = [
    Mutation(
        'all scenes are the same',
        'mmssl/datasets/sprites.py',
        'hash_seed(self.seed, Stream.SCENES, index)',
        'hash_seed(self.seed, Stream.SCENES)',
    ),
    Mutation(
        'rows and columns of a sprite change places',
        'mmssl/datasets/sprites.py',
        '(scale * (sprite.x + half * x), scale * (sprite.y + half * y))',
        '(scale * (sprite.y + half * x), scale * (sprite.x + half * y))',
    ),
    Mutation(
        'the odd sprite may have the shape of the others',
        'mmssl/datasets/sprites.py',
        '[(colours[0], shapes[0])] +',
        '[(colours[0], shapes[1])] +',
    ),
]
