"""Decoding: every kind of image, and those that cannot be read."""

import io
import os
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from mmssl.datasets import UnreadableImageError, read_image
from mmssl.datasets.images import as_channels, watch_warnings
from tests.helpers.mutation import Mutation

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


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'pipe.png')
    (tmp_path / 'loop.png').symlink_to('loop.png')
    for name, reason in {'pipe.png': 'no file, but a folder, pipe', 'loop.png': 'symbolic links'}.items():
        with pytest.raises(UnreadableImageError, match=f'{name} cannot be read: .*{reason}'):
            read_image(tmp_path / name)


def jpeg_header(side: int) -> bytes:
    """A JPEG file of 5 KB that says it is ``side`` pixels high and wide."""
    content = io.BytesIO()
    Image.effect_noise((64, 64), 90).convert('RGB').save(content, 'JPEG', quality=95)
    small = content.getvalue()
    place = small.index(b'\xff\xc0') + 5
    return (small[:place] + struct.pack('>HH', side, side) + small[place + 4 :])[:5000]


def test_a_small_file_that_claims_to_be_huge_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'huge.jpg').write_bytes(jpeg_header(13_000))
    monkeypatch.setattr(Image.Image, 'load', None)  # nothing is decoded
    with pytest.raises(UnreadableImageError, match=r'huge.jpg .* claims 169,000,000 pixels, .* cannot hold'):
        read_image(tmp_path / 'huge.jpg')


def test_the_limit_of_pixels_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 50_000)
    Image.new('1', (500, 400)).save(tmp_path / 'large.png')
    with pytest.raises(UnreadableImageError, match='200,000 pixels, .* tiles, or set MMSSL_MAX_MEGAPIXELS=1 '):
        read_image(tmp_path / 'large.png')
    monkeypatch.setenv('MMSSL_MAX_MEGAPIXELS', '0.2')
    assert read_image(tmp_path / 'large.png').shape == (1, 400, 500)
    for wrong in ('0', 'many', '-3'):
        monkeypatch.setenv('MMSSL_MAX_MEGAPIXELS', wrong)
        with pytest.raises(ValueError, match=f"MMSSL_MAX_MEGAPIXELS is '{wrong}'"):
            read_image(tmp_path / 'large.png')


def test_a_file_that_would_run_a_program_is_no_image(tmp_path: Path) -> None:
    Image.new('RGB', (4, 4)).save(tmp_path / 'script.png', 'EPS')
    with pytest.raises(UnreadableImageError, match='no image of a known format'):
        read_image(tmp_path / 'script.png')


def test_warnings_of_pillow_get_the_name_of_the_file(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = 'a maker of cameras'
    Image.new('RGB', (4, 4)).save(tmp_path / 'good.png')
    for name in ('one.jpg', 'two.jpg'):
        Image.new('RGB', (4, 4)).save(tmp_path / name, exif=exif.tobytes()[:-9])
    with watch_warnings() as found:
        warnings.warn('of the user', UserWarning, stacklevel=1)
        for name in ('good.png', 'one.jpg', 'two.jpg', 'two.jpg'):
            read_image(tmp_path / name)
    assert found.keys() == {str(tmp_path / 'one.jpg'), str(tmp_path / 'two.jpg')} and all(found.values())
    assert [str(warning.message) for warning in recwarn] == ['of the user']


MUTATIONS = [
    Mutation(
        'waits for what a pipe will hold',
        'mmssl/datasets/images.py',
        'if not stat.S_ISREG(os.stat(path).st_mode):',
        'if False:',
        'tests/datasets/test_images.py -k pipe --timeout 20',
    ),
    Mutation(
        'believes a header that claims more pixels than the file can hold',
        'mmssl/datasets/images.py',
        'if pixels > max(_LARGE, length',
        'if pixels < 0 and pixels > max(_LARGE, length',
    ),
    Mutation(
        'lets Pillow run Ghostscript',
        'mmssl/datasets/images.py',
        'if name not in _RUNS_PROGRAMS)',
        ')',
    ),
]
