"""Mean and deviation of images, to normalise them by."""

from contextlib import suppress
from typing import NamedTuple

import torch
from torch import Tensor

from mmssl.datasets.images import UnreadableImageError, as_channels
from mmssl.datasets.sources import ImageSource

_TRIES = 10  # images that may be unreadable before one that tells the number of bits


class ChannelStatistics(NamedTuple):
    """Statistics of a set of images, in the units of their pixels.

    Attributes:
        mean: One number per channel.
        std: Standard deviation of each channel over all pixels.
        images: Number of images that were looked at.
    """

    mean: list[float]
    std: list[float]
    images: int


def channel_statistics(source: ImageSource, channels: int = 3, most: int = 256) -> ChannelStatistics:
    """Measure the mean and the deviation of each channel, on evenly spaced images.

    Args:
        source: The images; those that cannot be read are passed over.
        channels: Number of channels of the network, as in :class:`~mmssl.datasets.ImageDataset`.
        most: Maximum number of images to look at.

    Returns:
        Numbers for :class:`~mmssl.models.DataPreprocessor`, rounded to four digits.

    Raises:
        ValueError: None of these images can be read.
    """
    count = min(len(source), most)
    sums, squares, pixels, images = torch.zeros(channels).double(), torch.zeros(channels).double(), 0, 0
    for place in range(count):
        try:
            image = source.load(place * len(source) // count)
        except UnreadableImageError:
            continue
        values = as_channels(image, channels).double().flatten(start_dim=1)
        sums, squares = sums + values.sum(dim=1), squares + values.square().sum(dim=1)
        pixels, images = pixels + values.shape[1], images + 1
    if not images:
        raise ValueError(f'None of {count} images can be read: give images to measure the mean and deviation of.')
    mean = sums / pixels
    std = (squares / pixels - mean.square()).clamp_min(0).sqrt().clamp_min(1e-3)
    return ChannelStatistics(_rounded(mean), _rounded(std), images)


def sixteen_bit_statistics(source: ImageSource, channels: int = 3) -> ChannelStatistics | None:
    """Measure the mean and the deviation of 16-bit images; 8-bit images are not looked at further.

    Images of 16 bits have no common range: a camera may use 12 bits, a scanner all of them. So they are normalised by
    their own statistics, never by those of 8-bit photographs.

    Args:
        source: The images.
        channels: Number of channels of the network.

    Returns:
        The statistics; None if the first image that can be read has 8 bits.
    """
    for index in range(min(len(source), _TRIES)):
        with suppress(UnreadableImageError):
            sixteen = source.load(index).dtype == torch.uint16
            return channel_statistics(source, channels) if sixteen else None
    return None


def _rounded(values: Tensor) -> list[float]:
    return [float(f'{value:.4g}') for value in values.tolist()]
