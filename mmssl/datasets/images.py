"""Decode image files into ``(C, H, W)`` tensors of uint8 or uint16."""

import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps
from torch import Tensor

from mmssl.datasets.transforms.pixels import luminance

EXTENSIONS = (
    '.bmp', '.gif', '.jfif', '.jpe', '.jpeg', '.jpg', '.pgm', '.png', '.pnm', '.ppm', '.tif', '.tiff', '.webp',
)  # fmt: skip
# Errors that Pillow is known to raise for broken files.
BROKEN = (
    OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
_GRAY = {'1', 'L', 'LA', 'La'}
_TRANSPARENT = {'RGBA', 'RGBa', 'PA'}


class UnreadableImageError(OSError):
    """An image is missing, broken, or of a kind that has no 8-bit or 16-bit form."""


def read_image(path: str | Path, at_least: int | None = None) -> Tensor:
    """Decode an image file with Pillow.

    Gray, palette, RGB, RGBA, CMYK and other modes give 1, 3 or 4 channels of 8 bits; 16-bit gray keeps its 16 bits.
    (Pillow itself reduces 16-bit RGB to 8 bits; the alpha channel of gray images is dropped.) The image is rotated
    according to its EXIF orientation, so the network sees what an image viewer shows.

    Args:
        path: Image file; only the first frame of an animation is read.
        at_least: Side in pixels that is enough: a JPEG file is decoded at a half, a quarter or an eighth of its size,
            which takes a fraction of the time, as long as no side falls below it. By default at its whole size.

    Returns:
        uint8 or uint16, shape ``(C, H, W)``.

    Raises:
        UnreadableImageError: The file cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            if at_least:
                image.draft(None, (at_least, at_least))  # does nothing for other formats
            return image_to_tensor(image)
    except BROKEN as error:
        raise UnreadableImageError(f'{path} cannot be read: {error}') from error


def image_to_tensor(image: Image.Image) -> Tensor:
    """Convert a Pillow image of any mode to an upright tensor; see :func:`read_image`.

    Args:
        image: A Pillow image; it need not be loaded yet.

    Returns:
        uint8 or uint16, shape ``(C, H, W)``.

    Raises:
        ValueError: The image holds floats, or integers beyond 16 bits.
    """
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode[0] in 'IF':
        return torch.from_numpy(_sixteen_bits(np.asarray(image), image.mode))[None]
    if image.mode in _GRAY:
        mode = 'L'
    elif image.mode in _TRANSPARENT or (image.mode == 'P' and 'transparency' in image.info):
        mode = 'RGBA'
    else:
        mode = 'RGB'
    array = np.array(image if image.mode == mode else image.convert(mode))
    return torch.from_numpy(array.reshape(*array.shape[:2], -1)).permute(2, 0, 1)


def as_channels(image: Tensor, channels: int) -> Tensor:
    """Convert an image to the number of channels of the network.

    Args:
        image: Shape ``(C, H, W)``, or ``(C, T, H, W)`` for a clip.
        channels: Number of channels. Gray is repeated for 3, colour becomes luminance for 1, RGBA loses alpha for 3.

    Returns:
        Same dtype, shape ``(channels, H, W)`` or ``(channels, T, H, W)``.

    Raises:
        ValueError: No other conversion exists.
    """
    given = len(image)
    if given == channels:
        return image
    if (given, channels) == (1, 3):
        return image.expand(3, *image.shape[1:])
    if (given, channels) == (4, 3):
        return image[:3]
    if given in (3, 4) and channels == 1:
        gray = luminance(image[:3].numpy().astype(np.float32))
        return torch.from_numpy(np.rint(gray).astype(image.numpy().dtype))
    raise ValueError(
        f'Images have {given} channels, but the data set has channels={channels}: set channels={given} there and '
        f'in_channels={given} in the backbone.'
    )


def _sixteen_bits(values: np.ndarray, mode: str) -> np.ndarray:
    if mode[0] == 'F' or values.min() < 0 or values.max() > 65535:
        raise ValueError(f'mode {mode} has values that 16 bits cannot hold; convert it to 8-bit or 16-bit integers')
    return values.astype(np.uint16)
