"""Decoding: every kind of image, and those that cannot be read."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from mmssl.datasets import UnreadableImageError, read_image
from mmssl.datasets.images import as_channels

COLOUR = (200, 100, 50)


def saved(image: Image.Image, path: Path, **options: object) -> torch.Tensor:
    image.save(path, **options)
    return read_image(path)


@pytest.mark.parametrize(
    ('mode', 'suffix', 'channels'),
    [
        ('L', 'png', 1), ('1', 'png', 1), ('LA', 'png', 1), ('RGB', 'png', 3), ('RGB', 'jpg', 3), ('L', 'jpg', 1),
        ('P', 'png', 3), ('P', 'gif', 3), ('RGBA', 'png', 4), ('CMYK', 'jpg', 3), ('RGB', 'webp', 3), ('L', 'bmp', 1),
        ('RGB', 'tif', 3), ('RGBA', 'tif', 4), ('RGB', 'ppm', 3),
    ],
)  # fmt: skip
def test_eight_bit_images_of_every_mode_load(tmp_path: Path, mode: str, suffix: str, channels: int) -> None:
    image = saved(Image.new('RGB', (7, 5), COLOUR).convert(mode), tmp_path / f'image.{suffix}')
    assert image.shape == (channels, 5, 7) and image.dtype == torch.uint8
    if channels >= 3:
        assert (image[:3, 2, 3].int() - torch.tensor(COLOUR)).abs().max() <= 12  # lossy formats


def test_a_palette_with_transparency_keeps_it(tmp_path: Path) -> None:
    image = Image.new('P', (4, 4))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((0, 0), 1)
    loaded = saved(image, tmp_path / 'image.png', transparency=0)
    assert loaded[:, 0, 0].tolist() == [40, 50, 60, 255] and loaded[:, 1, 1].tolist() == [10, 20, 30, 0]


@pytest.mark.parametrize('name', ['gray.png', 'gray.tif', 'big_endian.tif'])
def test_sixteen_bit_gray_is_not_cut_to_eight(tmp_path: Path, name: str) -> None:
    values = np.array([[0, 255, 256], [1000, 40000, 65535]], np.uint16)
    if name == 'big_endian.tif':
        image = Image.frombytes('I;16B', (3, 2), values.astype('>u2').tobytes())
    else:
        image = Image.fromarray(values)
    loaded = saved(image, tmp_path / name)
    assert loaded.dtype == torch.uint16 and loaded.int().tolist() == [values.tolist()]


def test_integers_of_thirty_two_bits_load_where_sixteen_hold_them(tmp_path: Path) -> None:
    values = np.array([[0, 65535]], np.int32)
    assert saved(Image.fromarray(values), tmp_path / 'fits.tif').int().tolist() == [values.tolist()]
    for name, array in {'large': values + 1, 'float': values.astype(np.float32)}.items():
        with pytest.raises(UnreadableImageError, match='16 bits cannot hold'):
            saved(Image.fromarray(array), tmp_path / f'{name}.tif')


def test_the_orientation_of_a_camera_is_followed(tmp_path: Path) -> None:
    image = Image.new('RGB', (8, 4))
    image.paste((255, 255, 255), (0, 0, 4, 4))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # to be turned a quarter clockwise: the left half becomes the upper half
    loaded = saved(image, tmp_path / 'turned.png', exif=exif)
    assert loaded.shape == (3, 8, 4)
    assert loaded[:, :4].min() == 255 and loaded[:, 4:].max() == 0


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'tif', 'gif', 'webp', 'bmp'])
@pytest.mark.parametrize('kept', [0, 10, 0.6])
def test_broken_files_are_unreadable_and_named(tmp_path: Path, suffix: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    path = tmp_path / f'broken.{suffix}'
    Image.fromarray(noise).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept < 1 else int(kept)])
    with pytest.raises(UnreadableImageError, match=rf'broken\.{suffix}'):
        read_image(path)


def test_missing_files_and_text_are_unreadable(tmp_path: Path) -> None:
    (tmp_path / 'text.jpg').write_text('no image')
    for name in ('text.jpg', 'missing.jpg'):
        with pytest.raises(UnreadableImageError, match=name):
            read_image(tmp_path / name)


def test_channels_are_repeated_mixed_and_dropped() -> None:
    gray = torch.arange(6, dtype=torch.uint8).reshape(1, 2, 3)
    rgba = torch.stack([torch.full((2, 3), value, dtype=torch.uint8) for value in (200, 100, 50, 0)])
    assert torch.equal(as_channels(gray, 3), gray.expand(3, 2, 3))
    assert torch.equal(as_channels(rgba, 3), rgba[:3])
    assert as_channels(rgba, 4) is rgba
    for image in (rgba, rgba[:3]):
        luminance = as_channels(image, 1)  # .299 200 + .587 100 + .114 50
        assert luminance.dtype == torch.uint8 and luminance.unique().tolist() == [124]
    deep = as_channels((rgba[:3].int() * 257).to(torch.uint16), 1)
    assert deep.dtype == torch.uint16 and deep.int().unique().tolist() == [round(124.2 * 257)]


@pytest.mark.parametrize(('given', 'asked'), [(3, 4), (12, 3), (1, 12), (4, 12)])
def test_other_numbers_of_channels_are_refused_with_the_one_that_works(given: int, asked: int) -> None:
    with pytest.raises(ValueError, match=f'set channels={given} .* in_channels={given}'):
        as_channels(torch.zeros(given, 2, 2, dtype=torch.uint8), asked)
