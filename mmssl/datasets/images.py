"""Decode image files into ``(C, H, W)`` tensors of uint8 or uint16."""

import math
import os
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from mmssl.datasets.bands import decode_deep, decode_tiff, is_tiff, loses_values, tiff_size
from mmssl.datasets.transforms.pixels import luminance

EXTENSIONS = (
    '.avif', '.bmp', '.dib', '.gif', '.jfif', '.jp2', '.jpe', '.jpeg', '.jpg', '.pgm', '.png', '.pnm', '.ppm', '.tga',
    '.tif', '.tiff', '.webp',
)  # fmt: skip
_RUNS_PROGRAMS = {'EPS', 'WMF'}  # formats that Pillow hands to Ghostscript or the system
_MILLION = 10**6
_LARGE = 16 * _MILLION  # pixels from which a file's claim is compared with its length
_PIXELS_PER_BYTE = {'JPEG': 2048}  # at least a bit for 16 x 16 pixels
_MOST_PIXELS_PER_BYTE = 10_000  # deflate shrinks to a thousandth, and a byte holds eight pixels of one bit
# EXIF orientations: whether height and width are exchanged, and which of the two are then flipped.
_TURNS = {
    2: (False, (1,)), 3: (False, (0, 1)), 4: (False, (0,)), 5: (True, ()), 6: (True, (1,)), 7: (True, (0, 1)),
    8: (True, (0,)),
}  # fmt: skip
_decoding = threading.local()  # path of the file that a thread decodes, and the warnings that it collects
_shown: list[Any] = []  # what showed warnings before
_GRAY = {'1', 'L', 'LA', 'La'}
_TRANSPARENT = {'RGBA', 'RGBa', 'PA'}


class UnreadableImageError(OSError):
    """An image is missing, broken, or of a kind that has no 8-bit or 16-bit form."""


def read_image(path: str | Path, at_least: int | None = None) -> Tensor:
    """Decode an image file.

    Gray, palette, RGB, RGBA, CMYK and other modes give 1, 3 or 4 channels of 8 bits; gray, RGB and RGBA of 16 bits keep
    them. (The alpha channel of gray images is dropped.) All bands of a TIFF file are kept; other numbers than one,
    three and four take the extra ``bands``. The image is rotated according to its EXIF orientation, so the network sees
    what an image viewer shows.

    Pillow's limit of 179 million pixels holds; ``MMSSL_MAX_MEGAPIXELS=400`` sets another. Formats that would run a
    program, such as EPS, are not read, whatever the file is called.

    Args:
        path: Image file; only the first frame of an animation is read.
        at_least: Side in pixels that is enough: a JPEG file is decoded at a half, a quarter or an eighth of its size,
            which takes a fraction of the time, as long as no side falls below it. By default at its whole size.

    Returns:
        uint8 or uint16, shape ``(C, H, W)``.

    Raises:
        UnreadableImageError: The file cannot be decoded, is no file, or claims more pixels than it can hold.
        ValueError: ``MMSSL_MAX_MEGAPIXELS`` is no positive number.
    """
    _set_limit()
    _decoding.path = str(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - a pipe would be waited for
            raise ValueError('it is no file, but a folder, pipe, socket or device')
        with Path(path).open('rb') as file:
            return decode_image(file, at_least)
    except Exception as error:  # decoders raise anything over a damaged file
        raise UnreadableImageError(f'{path} cannot be read: {error or type(error).__name__}') from error


def decode_image(file: BinaryIO, at_least: int | None = None) -> Tensor:
    """Decode the content of an image file; see :func:`read_image`.

    Args:
        file: The file, or bytes in memory.
        at_least: Side in pixels that is enough.

    Returns:
        uint8 or uint16, shape ``(C, H, W)``.

    Raises:
        Exception: The content cannot be decoded; of any type, since decoders raise anything over damaged content.
    """
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    try:
        opened = Image.open(file, formats=_formats())
    except UnidentifiedImageError as error:
        return _decode_other(file, length, error)
    except Image.DecompressionBombError as error:
        raise ValueError(_too_large(int(re.findall(r'\d+', str(error))[0]))) from error
    with opened as image:
        _check_claim(image.width * image.height, length, image.format or '')
        if loses_values(image):
            pixels = decode_deep(image, file)
            return _upright(pixels, image.getexif().get(ExifTags.Base.Orientation, 1))
        if at_least:
            image.draft(None, (at_least, at_least))  # does nothing for other formats
        return image_to_tensor(image)


def is_image(path: str | Path) -> bool:
    """Whether a file begins as an image does.

    Args:
        path: A file that is no pipe.
    """
    try:
        with Image.open(path, formats=_formats()):
            return True
    except Exception:  # decoders raise anything over other files
        return False


@contextmanager
def watch_warnings() -> Iterator[dict[str, str]]:
    """Collect what Pillow warns of while this thread reads images.

    Yields:
        The first warning of each file by its path. That a file is large, but no larger than allowed, is none.
    """
    _install_note()
    _decoding.found = {}
    try:
        yield _decoding.found
    finally:
        _decoding.found = None


def _install_note() -> None:
    """Let Python show warnings by :func:`_note`.

    ``warnings.catch_warnings`` for each image would make Python forget which other warnings it has shown already.
    """
    if warnings.showwarning is not _note:
        _shown.append(warnings.showwarning)
        warnings.filterwarnings('always', module=r'PIL\.')
        warnings.showwarning = _note


def _note(message: Warning | str, category: type[Warning], filename: str, *place: Any, **more: Any) -> None:
    found = getattr(_decoding, 'found', None)
    if found is None or f'{os.sep}PIL{os.sep}' not in filename:
        _shown[-1](message, category, filename, *place, **more)
    elif not issubclass(category, Image.DecompressionBombWarning):
        found.setdefault(_decoding.path, str(message).strip())


def image_to_tensor(image: Image.Image) -> Tensor:
    """Convert a Pillow image of any mode to an upright tensor; see :func:`read_image`.

    Args:
        image: A Pillow image; it need not be loaded yet.

    Returns:
        uint8 or uint16, shape ``(C, H, W)``.

    Raises:
        ValueError: The image holds floats, or integers beyond 16 bits; or Pillow would reduce 16-bit colours to 8 bits,
            or drop a band.
    """
    if loses_values(image):
        raise ValueError('Pillow would cut its 16-bit colours or its bands; give the path of the file instead')
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode[0] in 'IF':
        return torch.from_numpy(_in_sixteen_bits(np.asarray(image)))[None]
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
    if not convertible(given, channels):
        raise ValueError(
            f'Images have {given} channels, but the data set has channels={channels}: set channels={given} there and '
            f'in_channels={given} in the backbone.'
        )
    if given == channels:
        return image
    if (given, channels) == (1, 3):
        return image.expand(3, *image.shape[1:])
    if (given, channels) == (4, 3):
        return image[:3]
    gray = luminance(image[:3].numpy().astype(np.float32))
    return torch.from_numpy(np.rint(gray).astype(image.numpy().dtype))


def convertible(given: int, channels: int) -> bool:
    """Whether :func:`as_channels` can convert images of ``given`` channels to ``channels``."""
    return given == channels or (given, channels) in ((1, 3), (4, 3), (3, 1), (4, 1))


def _set_limit() -> None:
    given = os.environ.get('MMSSL_MAX_MEGAPIXELS')
    if given:
        if not re.fullmatch(r'\d+(\.\d+)?', given) or not float(given):
            raise ValueError(f'MMSSL_MAX_MEGAPIXELS is {given!r}: set it to the megapixels to allow, as 400.')
        Image.MAX_IMAGE_PIXELS = math.ceil(float(given) * _MILLION / 2)  # Pillow refuses twice as many


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in Image.ID if name not in _RUNS_PROGRAMS)


def _decode_other(file: BinaryIO, length: int, error: UnidentifiedImageError) -> Tensor:
    """Decode a file that Pillow does not identify: a TIFF of another kind."""
    if not is_tiff(file):
        raise ValueError('its content is no image of a known format') from error
    width, height = tiff_size(file)
    if Image.MAX_IMAGE_PIXELS and width * height > 2 * Image.MAX_IMAGE_PIXELS:
        raise ValueError(_too_large(width * height))
    _check_claim(width * height, length, 'TIFF')
    return _upright(decode_tiff(file), 1)


def _too_large(pixels: int) -> str:
    limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // _MILLION
    return (
        f'it has {pixels:,} pixels, and the limit is {limit} megapixels. Cut it into tiles, or set '
        f'MMSSL_MAX_MEGAPIXELS={math.ceil(pixels / _MILLION)} (decoding takes at least 8 bytes per pixel)'
    )


def _check_claim(pixels: int, length: int, format: str) -> None:
    """Refuse a small file that says it holds a huge image, before memory is taken for it."""
    if pixels > max(_LARGE, length * _PIXELS_PER_BYTE.get(format, _MOST_PIXELS_PER_BYTE)):
        raise ValueError(f'it claims {pixels:,} pixels, which its {length:,} bytes cannot hold')


def _in_sixteen_bits(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in 'iu' or values.min() < 0 or values.max() > 65535:
        raise ValueError(
            f'it holds {values.dtype} with values that 16 bits cannot hold; convert it to 8-bit or 16-bit integers'
        )
    return values.astype(np.uint16)


def _upright(pixels: np.ndarray, orientation: int) -> Tensor:
    """Turn ``(H, W, C)`` by its EXIF orientation, as Pillow does with images of 8 bits: ``(C, H, W)``."""
    turned, flips = _TURNS.get(orientation, (False, ()))
    values = np.flip(pixels.swapaxes(0, 1) if turned else pixels, flips).transpose(2, 0, 1)
    if values.dtype != np.uint8:
        values = _in_sixteen_bits(values)
    return torch.from_numpy(np.ascontiguousarray(values))
