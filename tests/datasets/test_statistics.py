"""Mean and deviation of images, in the units of their pixels."""

import numpy as np
import pytest
import torch

from mmssl.datasets import ArraySource, Concat, UnreadableImageError, channel_statistics, sixteen_bit_statistics


class Broken(Concat):
    """The first image cannot be read."""

    def load(self, index: int) -> torch.Tensor:
        if index == 0:
            raise UnreadableImageError('broken')
        return super().load(index)


def test_statistics_are_those_of_all_pixels_of_each_channel() -> None:
    images = np.random.default_rng(0).normal((50, 100, 150), (5, 10, 20), (20, 9, 7, 3)).astype(np.uint8)
    found = channel_statistics(ArraySource(images))
    np.testing.assert_allclose(found.mean, images.mean(axis=(0, 1, 2)), rtol=1e-3)
    np.testing.assert_allclose(found.std, images.std(axis=(0, 1, 2)), rtol=1e-3)
    assert found.images == 20
    assert sixteen_bit_statistics(ArraySource(images)) is None


def test_gray_images_of_16_bits_have_the_same_numbers_for_three_channels() -> None:
    images = np.stack([np.full((4, 4), value, np.uint16) for value in (1000, 2500)])
    assert sixteen_bit_statistics(ArraySource(images)) == ([1750.0] * 3, [750.0] * 3, 2)
    assert channel_statistics(ArraySource(images), channels=1).mean == [1750.0]


def test_some_images_spread_over_the_source_are_enough_and_broken_ones_are_passed_over() -> None:
    images = ArraySource(np.arange(100, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3))
    assert channel_statistics(images, most=4).mean == [(0 + 25 + 50 + 75) / 4] * 3
    found = channel_statistics(Broken([images]), most=4)
    assert (found.mean, found.images) == ([50.0] * 3, 3)
    with pytest.raises(ValueError, match='None of 1 images can be read'):
        channel_statistics(Broken([images]), most=1)
    assert sixteen_bit_statistics(Broken([ArraySource(np.full((3, 4, 4), 500, np.uint16))])).images == 2
