"""Rotations by quarter turns against the reference code."""

import numpy as np
import pytest
import torch

from mmssl.functional import four_rotations, quarter_turns
from tests.conftest import golden
from tests.helpers.mutation import Mutation

CASE = golden('rotnet/rotations.npz')


def _planes(image):
    return image.permute(2, 0, 1)


@pytest.mark.parametrize('kind', ['square', 'rect'])
@pytest.mark.parametrize('label', range(4))
def test_an_image_turned_by_its_label_equals_the_reference(kind, label):
    turned = quarter_turns(_planes(CASE[f'{kind}_in']), label)
    assert torch.equal(turned, _planes(CASE[f'{kind}_label{label}']))


def test_all_rotations_of_a_batch_are_counter_clockwise_image_after_image():
    images = torch.arange(2 * 3 * 4 * 4.0).reshape(2, 3, 4, 4)
    rotated = four_rotations(images)
    assert rotated.shape == (2, 4, 3, 4, 4)
    for image, versions in zip(images, rotated, strict=True):
        for turns, version in enumerate(versions):
            assert np.array_equal(version, np.rot90(image.numpy(), turns, axes=(1, 2)))


def test_rotations_move_pixels_and_change_none():
    images = torch.rand(3, 2, 5, 5, dtype=torch.float64)
    rotated = four_rotations(images)
    expected = images.flatten(1).sort(dim=1).values
    assert torch.equal(rotated.flatten(2).sort(dim=2).values, expected[:, None].expand(-1, 4, -1))
    back = torch.stack([quarter_turns(rotated[:, turns], -turns % 4) for turns in range(4)], dim=1)
    assert torch.equal(back, images[:, None].expand(-1, 4, -1, -1, -1))


def test_images_that_are_not_square_are_refused_with_what_to_set():
    with pytest.raises(ValueError, match='Views of 24 x 32 pixels: .* size=24'):
        four_rotations(torch.zeros(2, 3, 24, 32))


MUTATIONS = [
    Mutation(
        'quarter turns are clockwise',
        'mmssl/functional/rotation.py',
        'images.transpose(-2, -1).flip(-2) if',
        'images.transpose(-2, -1).flip(-1) if',
    ),
    Mutation(
        'half a turn is a vertical flip',
        'mmssl/functional/rotation.py',
        'images = images.flip(-2, -1)',
        'images = images.flip(-2)',
    ),
    Mutation(
        'rotations come one after the other, not image after image',
        'mmssl/functional/rotation.py',
        'for turns in range(4)], dim=1)',
        'for turns in range(4)]).reshape(len(images), 4, *images.shape[1:])',
    ),
]
