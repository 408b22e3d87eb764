"""Images that Pillow would cut: 16-bit colour, more bands, other kinds of TIFF."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image, ImageOps

from mmssl.datasets import UnreadableImageError, read_image
from mmssl.datasets.images import _upright, image_to_tensor
from tests.helpers.mutation import Mutation

GRAY_ALPHA, COLOUR, COLOUR_ALPHA = 4, 2, 6  # colour types of PNG
SIGNED, FLOAT = 2, 3  # sample formats of TIFF


def ramp(bands: int, dtype: type = np.uint16, top: int = 4095) -> np.ndarray:
    """Values of 12 bits that rise through the image; all channels differ."""
    return np.linspace(0, top, 7 * 9 * bands).reshape(7, 9, bands).astype(dtype)


def png(pixels: np.ndarray, colour_type: int) -> bytes:
    """A PNG file of 16 bits per channel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in pixels)
    head = struct.pack('>IIBBBBB', pixels.shape[1], pixels.shape[0], 16, colour_type, 0, 0, 0)
    parts = chunk(b'IHDR', head) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')
    return b'\x89PNG\r\n\x1a\n' + parts


def tiff(
    pixels: np.ndarray, rgb: bool = True, extra: tuple[int, ...] = (), kind: int = 1, planar: bool = False
) -> bytes:
    """An uncompressed little-endian TIFF file, with ``extra`` as the meaning of the bands beyond colour."""
    height, width, bands = pixels.shape
    data = (pixels.transpose(2, 0, 1) if planar else pixels).tobytes()
    strips = bands if planar else 1
    tags = {
        256: [width], 257: [height], 258: [pixels.itemsize * 8] * bands, 259: [1], 262: [2 if rgb else 1],
        273: [0] * strips, 277: [bands], 278: [height], 279: [len(data) // strips] * strips, 284: [1 + planar],
        338: list(extra), 339: [kind] * bands,
    }  # fmt: skip
    tags = {tag: values for tag, values in tags.items() if values}
    start = 8 + 2 + 12 * len(tags) + 4
    outside = sum(4 * len(values) for values in tags.values() if len(values) > 1)
    tags[273] = [start + outside + place * len(data) // strips for place in range(strips)]
    entries, blob = b'', b''
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f'<{len(values)}I', *values)
        entries += struct.pack('<HHI', tag, 4, len(values))
        entries += packed if len(values) == 1 else struct.pack('<I', start + len(blob))
        blob += packed if len(values) > 1 else b''
    return b'II*\0' + struct.pack('<IH', 8, len(tags)) + entries + struct.pack('<I', 0) + blob + data


def ppm(pixels: np.ndarray, top: int) -> bytes:
    """A binary PPM file of two bytes per value."""
    return f'P6\n{pixels.shape[1]} {pixels.shape[0]}\n{top}\n'.encode() + pixels.astype('>u2').tobytes()


KEPT = {
    'rgb.png': (png(ramp(3), COLOUR), ramp(3)),
    'rgba.png': (png(ramp(4), COLOUR_ALPHA), ramp(4)),
    'gray_alpha.png': (png(ramp(2), GRAY_ALPHA), ramp(2)[..., :1]),
    'rgb.ppm': (ppm(ramp(3), 65535), ramp(3)),
    'rgb.tif': (tiff(ramp(3)), ramp(3)),
    'planar8.tif': (tiff(ramp(3, np.uint8, 255), planar=True), ramp(3, np.uint8, 255)),
    'infrared8.tif': (tiff(ramp(4, np.uint8, 255), extra=(0,)), ramp(4, np.uint8, 255)),
    'infrared.tif': (tiff(ramp(4), extra=(0,)), ramp(4)),
}
BANDS = {
    'planar.tif': (tiff(ramp(3), planar=True), ramp(3)),
    'two.tif': (tiff(ramp(2), rgb=False, extra=(0,)), ramp(2)),
    'two8.tif': (tiff(ramp(2, np.uint8, 255), rgb=False, extra=(0,)), ramp(2, np.uint8, 255)),
    'six.tif': (tiff(ramp(6, np.uint8, 255), rgb=False, extra=(0,) * 5), ramp(6, np.uint8, 255)),
    'colour_and_two.tif': (tiff(ramp(5), extra=(0, 0)), ramp(5)),
    'twelve_planar.tif': (tiff(ramp(12), rgb=False, extra=(0,) * 11, planar=True), ramp(12)),
}


def check(path: Path, content: bytes, expected: np.ndarray) -> None:
    path.write_bytes(content)
    loaded = read_image(path)
    assert loaded.dtype == (torch.uint8 if expected.dtype == np.uint8 else torch.uint16)
    assert np.array_equal(loaded.permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize('name', KEPT)
def test_every_value_of_the_file_is_kept(tmp_path: Path, name: str) -> None:
    check(tmp_path / name, *KEPT[name])


@pytest.mark.parametrize('name', BANDS)
def test_other_numbers_of_bands_come_with_tifffile(tmp_path: Path, name: str) -> None:
    pytest.importorskip('tifffile')
    check(tmp_path / name, *BANDS[name])


def test_without_tifffile_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__('sys').modules, 'tifffile', None)
    (tmp_path / 'six.tif').write_bytes(BANDS['six.tif'][0])
    with pytest.raises(UnreadableImageError, match=r"6 bands or with planes need: pip install 'mmssl\[bands\]'"):
        read_image(tmp_path / 'six.tif')


def test_colours_of_twelve_bits_are_scaled_as_gray_ones_are(tmp_path: Path) -> None:
    scaled = np.rint(ramp(3) * (65535 / 4095)).astype(np.uint16)
    check(tmp_path / 'twelve.ppm', ppm(ramp(3), 4095), scaled)


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('float64.tif', tiff(ramp(1, np.float64), rgb=False, kind=FLOAT), 'float64 .* convert it to 8-bit or 16-bit'),
        ('floats.tif', tiff(ramp(3, np.float32), kind=FLOAT), 'float32 .* convert it to 8-bit or 16-bit'),
        ('signed.tif', tiff(ramp(3, np.int16) - 9, kind=SIGNED), 'int16 .* convert it to 8-bit or 16-bit'),
        ('half.png', png(ramp(3), COLOUR)[:-60], 'half.png cannot be read'),
        ('half.tif', tiff(ramp(3))[:-60], 'half.tif cannot be read'),
        ('half.ppm', ppm(ramp(3), 65535)[:-60], 'half.ppm cannot be read'),
        ('tags.tif', tiff(ramp(6), rgb=False)[:60], 'tags.tif cannot be read'),
    ],
)  # fmt: skip
def test_what_no_network_can_take_is_refused_in_a_sentence(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableImageError, match=message):
        read_image(tmp_path / name)


@pytest.mark.parametrize('orientation', range(1, 9))
def test_deep_images_are_turned_as_pillow_turns_others(orientation: int) -> None:
    pixels = ramp(3, np.uint8, 255)
    image = Image.fromarray(pixels)
    image.getexif()[ExifTags.Base.Orientation] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image)).transpose(2, 0, 1)
    assert np.array_equal(_upright(pixels, orientation).numpy(), expected)


def test_an_open_image_of_16_bit_colours_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'deep.png').write_bytes(KEPT['rgb.png'][0])
    with pytest.raises(ValueError, match='give the path of the file'):
        image_to_tensor(Image.open(tmp_path / 'deep.png'))


MUTATIONS = [
    Mutation(
        'reduces 16-bit colours to 8 bits',
        'mmssl/datasets/bands.py',
        "    return ';16' in _arguments(image) or _maximum(image) > 255",
        '    return _maximum(image) > 255',
    ),
    Mutation(
        'drops the fourth band of a TIFF file',
        'mmssl/datasets/bands.py',
        ' or samples != len(image.getbands())',
        '',
    ),
    Mutation(
        'exchanges red and blue of 16-bit colours',
        'mmssl/datasets/bands.py',
        '[2, 1, 0, 3][',
        '[0, 1, 2, 3][',
    ),
]
