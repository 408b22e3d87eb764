"""Decode what Pillow would cut: 16-bit colour, bands beyond colour, and kinds of TIFF that it does not know."""

from typing import Any, BinaryIO

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES, _PLANES = 256, 257, 258, 262, 277, 284  # tags of a TIFF file
_GRAY_AND_RGB = (0, 1, 2)
_BIG_TIFF = 43
_MARKS = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')


def loses_values(image: Image.Image) -> bool:
    """Whether Pillow would reduce 16-bit colours to 8 bits, or drop a band.

    Args:
        image: A Pillow image that is not loaded yet.
    """
    if image.mode[0] in 'IF' or not getattr(image, 'tile', ()):
        return False
    if hasattr(image, 'tag_v2'):
        bits, samples = image.tag_v2.get(_BITS, (1,)), image.tag_v2.get(_SAMPLES, 1)
        return max(bits) > 8 or samples != len(image.getbands())
    return ';16' in _arguments(image) or _maximum(image) > 255


def decode_deep(image: Image.Image, file: BinaryIO) -> np.ndarray:
    """Decode an image for which :func:`loses_values` holds.

    Args:
        image: The image, which tells the kind of file.
        file: The file.

    Returns:
        Shape ``(H, W, C)``, colours in the order red, green, blue, in the dtype of the file.

    Raises:
        ValueError: No installed decoder reads this kind.
    """
    if hasattr(image, 'tag_v2'):
        return decode_tiff(file)
    gray, maximum = _arguments(image).startswith('LA'), _maximum(image)
    if image.format == 'PNG':
        image.load()  # raises for a damaged file, of which OpenCV returns a part
    array = _by_opencv(file)
    if maximum not in (0, 65535):  # as Pillow scales gray images of this format
        array = np.rint(array * (65535 / maximum)).astype(np.uint16)
    return array[..., :1] if gray else array


def decode_tiff(file: BinaryIO) -> np.ndarray:
    """Decode the first page of a TIFF file: one, three or four bands side by side by OpenCV, others by tifffile.

    Args:
        file: The file.

    Returns:
        Shape ``(H, W, C)``, colours in the order red, green, blue, in the dtype of the file.

    Raises:
        ValueError: No installed decoder reads this kind.
    """
    tags = read_tags(file)
    if max(tags.get(_BITS, (1,))) > 8 and tags.get(_PHOTOMETRIC, 1) not in _GRAY_AND_RGB:
        raise ValueError('it has 16 bits in a colour space other than gray and RGB; convert it to RGB')
    samples, planes = tags.get(_SAMPLES, 1), tags.get(_PLANES, 1) == 2  # OpenCV returns noise for deep planes
    return _by_opencv(file) if samples in (1, 3, 4) and not planes else _by_tifffile(file, samples)


def is_tiff(file: BinaryIO) -> bool:
    """Whether a file begins as a TIFF file does."""
    file.seek(0)
    return file.read(4) in _MARKS


def tiff_size(file: BinaryIO) -> tuple[int, int]:
    """Width and height that a TIFF file claims to have; width times bands for more than four bands."""
    tags = read_tags(file)
    return tags.get(_WIDTH, 0) * max(tags.get(_SAMPLES, 1) // 4, 1), tags.get(_HEIGHT, 0)


def read_tags(file: BinaryIO) -> dict[int, Any]:
    """Read the tags of the first page of a TIFF file."""
    file.seek(0)
    header = file.read(8)
    header += file.read(8) if _BIG_TIFF in header[2:4] else b''
    tags = ImageFileDirectory_v2(header)
    file.seek(tags.next)
    tags.load(file)
    return dict(tags)


def _arguments(image: Image.Image) -> str:
    """How the raw values of a file are laid out, in Pillow's words: ``RGB;16B``."""
    arguments = image.tile[0][-1]
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _maximum(image: Image.Image) -> int:
    """Value of white in a file of the PPM family; 0 if there is none, or it is 8 bits wide."""
    arguments = image.tile[0][-1]
    return arguments[1] if image.format == 'PPM' and isinstance(arguments, tuple) else 0


def _by_opencv(file: BinaryIO) -> np.ndarray:
    import cv2

    file.seek(0)
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it prints, and names no file
    try:
        array = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if array is None:
        raise ValueError('OpenCV cannot decode it')
    array = array.reshape(*array.shape[:2], -1)
    return array[..., [2, 1, 0, 3][: array.shape[2]]] if array.shape[2] > 2 else array


def _by_tifffile(file: BinaryIO, bands: int) -> np.ndarray:
    try:
        import tifffile
    except ModuleNotFoundError as error:
        raise ValueError(f"TIFF files with {bands} bands or with planes need: pip install 'mmssl[bands]'") from error
    file.seek(0)
    with tifffile.TiffFile(file) as content:
        page = content.pages.first
        axes, array = page.axes, page.asarray()
    if sorted(axes) != ['S', 'X', 'Y']:
        raise ValueError(f'its axes are {axes}, needed are height, width and bands')
    return np.moveaxis(array, axes.index('S'), -1)
