"""Shrunk images: equal to decoding and resizing, made once, tied to the files, bounded."""

import multiprocessing
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from torch import Tensor

from mmssl.datasets import (
    ArraySource,
    ImageDataset,
    ImageFolder,
    ShrunkImages,
    Subset,
    UnreadableImageError,
    read_image,
    shrunk,
)
from mmssl.datasets.transforms import resize
from mmssl.files import cache_folder

Make = Callable[..., Path]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Indices of the images that were decoded from a folder."""
    decoded: list[int] = []
    load = ImageFolder.load
    monkeypatch.setattr(ImageFolder, 'load', lambda self, index: decoded.append(index) or load(self, index))
    return decoded


def caches() -> list[Path]:
    return sorted(path for path in cache_folder('shrunk').glob('*') if path.suffix != '.lock')


def test_an_image_equals_the_decoded_and_resized_one_and_each_is_decoded_once(
    photo: Image.Image, tmp_path: Path, loads: list[int]
) -> None:
    photo.save(tmp_path / 'wide.png')
    photo.transpose(Image.Transpose.ROTATE_90).save(tmp_path / 'tall.png')
    source = ShrunkImages({'type': 'ImageFolder', 'root': str(tmp_path)}, size=24)
    first = [source.load(index) for index in (0, 1, 0)]
    assert sorted(loads) == [0, 1]
    ShrunkImages(ImageFolder(tmp_path), size=24).load(0)
    assert sorted(loads) == [0, 1]
    assert [image.shape for image in first] == [(3, 32, 24), (3, 24, 32), (3, 32, 24)]
    assert torch.equal(first[1], resize(ImageFolder(tmp_path).load(1), 24, 32))


def test_a_small_image_is_not_enlarged_and_a_narrow_one_keeps_its_shape(tmp_path: Path) -> None:
    Image.new('RGB', (12, 10), (5, 6, 7)).save(tmp_path / 'a.png')
    Image.new('RGB', (300, 100)).save(tmp_path / 'b.png')
    source = ShrunkImages(ImageFolder(tmp_path), size=20)
    assert torch.equal(source.load(0), ImageFolder(tmp_path).load(0))
    assert source.load(1).shape == (3, 20, 60)


@pytest.mark.parametrize(('mode', 'channels'), [('L', 1), ('RGBA', 4), ('I;16', 1)])
def test_gray_alpha_and_16_bits_keep_channels_and_type(tmp_path: Path, mode: str, channels: int) -> None:
    if mode == 'I;16':
        values = np.linspace(0, 65535, 40 * 30).reshape(30, 40).astype(np.uint16)
        Image.fromarray(values).save(tmp_path / 'a.png')
    else:
        Image.new(mode, (40, 30), 77 if mode == 'L' else (1, 2, 3, 99)).save(tmp_path / 'a.png')
    Image.new('RGB', (3, 3)).save(tmp_path / 'b.png')  # so that no image starts at a round place
    expected = resize(ImageFolder(tmp_path).load(0), 15, 20)
    image = ShrunkImages(ImageFolder(tmp_path), size=15).load(0)
    assert image.shape == (channels, 15, 20)
    assert image.dtype == expected.dtype
    assert torch.equal(image, expected)


def test_a_caller_may_change_the_image(make_images: Make) -> None:
    source = ShrunkImages(ImageFolder(make_images('a.png')), size=5)
    before = source.load(0).clone()
    source.load(0).zero_()
    assert torch.equal(source.load(0), before)


def test_labels_classes_names_paths_and_fingerprint_are_those_of_the_source(make_images: Make) -> None:
    folder = ImageFolder(make_images('cat/a.png', 'dog/b.png'))
    source = ShrunkImages(folder, size=5)
    assert source.labels.tolist() == [0, 1]
    assert (source.classes, source.label(1), len(source)) == (['cat', 'dog'], 1, 2)
    assert (source.name(1), source.path(1), source.extras(1)) == (folder.name(1), folder.path(1), {})
    assert source.fingerprint == folder.fingerprint


@pytest.mark.parametrize('change', ['overwritten', 'added', 'removed'])
def test_a_change_of_the_files_makes_a_new_cache_and_deletes_the_old(make_images: Make, change: str) -> None:
    root = make_images('a.png', 'b.png')
    ShrunkImages(ImageFolder(root), size=5)
    (old,) = caches()
    if change == 'overwritten':
        Image.new('RGB', (12, 10), (250, 0, 0)).save(root / 'a.png')
    elif change == 'added':
        Image.new('RGB', (12, 10), (250, 0, 0)).save(root / 'c.png')
    else:
        (root / 'b.png').unlink()
    source = ShrunkImages(ImageFolder(root), size=5)
    (new,) = caches()
    assert new != old
    assert all(torch.equal(source.load(i), resize(ImageFolder(root).load(i), 5, 6)) for i in range(len(source)))


def test_other_sizes_folders_and_parts_of_a_folder_keep_their_caches(make_images: Make) -> None:
    root = make_images('a.png', 'b.png')
    for source, size in [
        (ImageFolder(root), 5),
        (ImageFolder(root), 6),
        (Subset(ImageFolder(root), indices=[0]), 5),
        (Subset(ImageFolder(root), indices=[1]), 5),
        (ImageFolder(make_images('a.png', folder='more')), 5),
    ]:
        ShrunkImages(source, size)
    assert len(caches()) == 5


def test_an_interrupted_build_leaves_nothing_and_the_next_starts_again(
    make_images: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, load = make_images('a.png', 'b.png', 'c.png'), ImageFolder.load

    def interrupted(self: ImageFolder, index: int) -> Tensor:
        if index == 2:
            raise KeyboardInterrupt
        return load(self, index)

    monkeypatch.setattr(ImageFolder, 'load', interrupted)
    with pytest.raises(KeyboardInterrupt):
        ShrunkImages(ImageFolder(root), size=5)
    assert caches() == []
    monkeypatch.setattr(ImageFolder, 'load', load)
    assert ShrunkImages(ImageFolder(root), size=5).load(2).shape == (3, 5, 6)


def test_what_a_killed_build_left_is_deleted(make_images: Make) -> None:
    root = make_images('a.png')
    cache = ShrunkImages(ImageFolder(root), size=5).cache
    left = cache.with_name(f'.{cache.name}.tmp')
    left.write_bytes(b'half')
    Image.new('RGB', (12, 10), (250, 0, 0)).save(root / 'b.png')
    new = ShrunkImages(ImageFolder(root), size=5).cache
    assert caches() == [new]


def _photo_of(photo: Image.Image, path: Path, **options: object) -> None:
    photo.resize((960, 720), Image.Resampling.BICUBIC).save(path, quality=95, **options)


def test_a_large_jpeg_is_decoded_at_a_fraction_and_differs_by_a_grey_level(photo: Image.Image, tmp_path: Path) -> None:
    _photo_of(photo, tmp_path / 'a.jpg')
    assert read_image(tmp_path / 'a.jpg', at_least=96).shape == (3, 180, 240)
    whole = resize(ImageFolder(tmp_path).load(0), 48, 64)
    image = ShrunkImages(ImageFolder(tmp_path), size=48).load(0)
    difference = (image.int() - whole.int()).abs().float()
    assert not torch.equal(image, whole)
    assert difference.mean() < 1
    assert difference.max() <= 8


def test_a_jpeg_that_lies_on_its_side_is_turned(photo: Image.Image, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    _photo_of(photo, tmp_path / 'a.jpg', exif=exif)
    assert ShrunkImages(ImageFolder(tmp_path), size=48).load(0).shape == (3, 64, 48)


def test_a_subclass_that_loads_in_its_own_way_is_asked(make_images: Make) -> None:
    class Inverted(ImageFolder):
        def load(self, index: int) -> Tensor:
            return 255 - super().load(index)

    root = make_images('a.png')
    assert torch.equal(ShrunkImages(Inverted(root), size=20).load(0), 255 - ImageFolder(root).load(0))


def test_a_cut_cache_is_made_again(make_images: Make, loads: list[int]) -> None:
    root = make_images('a.png', 'b.png')
    ShrunkImages(ImageFolder(root), size=5)
    (cache,) = caches()
    cache.write_bytes(cache.read_bytes()[:-1])
    source = ShrunkImages(ImageFolder(root), size=5)
    assert len(loads) == 4
    assert torch.equal(source.load(1), resize(ImageFolder(root).load(1), 5, 6))


def _build_slowly(root: Path, barrier: multiprocessing.Barrier, counts: multiprocessing.Queue) -> None:
    decoded: list[int] = []
    shrink = shrunk._shrink
    shrunk._shrink = lambda source, index, size: decoded.append(index) or shrink(source, index, size)
    barrier.wait()
    source = ShrunkImages(ImageFolder(root), size=5)
    counts.put((len(decoded), tuple(source.load(3).shape)))


def test_two_processes_that_start_together_make_it_once(make_images: Make) -> None:
    root = make_images(*(f'{number}.png' for number in range(200)))
    context = multiprocessing.get_context('fork')
    barrier, counts = context.Barrier(2), context.Queue()
    processes = [context.Process(target=_build_slowly, args=(root, barrier, counts)) for _ in range(2)]
    for process in processes:
        process.start()
    seen = sorted(counts.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    assert seen == [(0, (3, 5, 6)), (200, (3, 5, 6))]


def test_an_unreadable_image_raises_and_is_replaced_as_without_a_cache(make_images: Make) -> None:
    root = make_images('a.png', 'b.png')
    (root / 'a.png').write_bytes(b'no image')
    source = ShrunkImages(ImageFolder(root), size=5)
    with pytest.raises(UnreadableImageError, match=r'a\.png cannot be read'):
        source.load(0)
    sample = ImageDataset(source, views=lambda image: [image])[0]
    assert (sample['sample_idx'], sample['unreadable']) == (1, 0)


@pytest.mark.parametrize('gigabytes', ['0', '0.0000001'])
def test_images_beyond_the_bound_are_decoded_at_each_draw(
    make_images: Make, loads: list[int], monkeypatch: pytest.MonkeyPatch, gigabytes: str
) -> None:
    said: list[str] = []
    monkeypatch.setattr(shrunk, 'print_log', lambda text, _: said.append(text))
    monkeypatch.setenv('MMSSL_CACHE_GB', gigabytes)
    source = ShrunkImages(ImageFolder(make_images('a.png', 'b.png')), size=5)
    assert source.cache is None
    assert len(said) == 1
    assert 'decoded at each draw' in said[0]
    assert caches() == []
    loads.clear()
    assert source.load(0).shape == source.load(0).shape == (3, 10, 12)
    assert loads == [0, 0]


def test_the_caches_used_longest_ago_make_room(make_images: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    roots = [make_images('a.png', 'b.png', folder=name) for name in 'xyz']
    first, second = (ShrunkImages(ImageFolder(root), size=5).cache for root in roots[:2])
    os.utime(first, (1e9, 1e9))
    os.utime(second, (2e9, 2e9))
    monkeypatch.setenv('MMSSL_CACHE_GB', f'{2.5 * first.stat().st_size / 1e9:.12f}')
    third = ShrunkImages(ImageFolder(roots[2]), size=5).cache
    assert caches() == sorted([second, third])


def test_a_folder_that_is_not_writable_is_no_error(
    make_images: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'file').write_text('')
    root = make_images('a.png')
    monkeypatch.setenv('MMSSL_CACHE', str(tmp_path / 'file'))
    source = ShrunkImages(ImageFolder(root), size=5)
    assert source.cache is None
    assert source.load(0).shape == (3, 10, 12)


def test_a_pickled_source_maps_the_file_itself(make_images: Make, loads: list[int]) -> None:
    source = ShrunkImages(ImageFolder(make_images(*(f'{number}.png' for number in range(100)))), size=5)
    text = pickle.dumps(source)
    assert len(text) < 2000
    loads.clear()
    copy = pickle.loads(text)
    assert torch.equal(copy.load(70), source.load(70))
    assert loads == []
    source.cache.unlink()
    assert pickle.loads(text).load(70).shape == (3, 10, 12)  # deleted since: decoded


def test_arrays_are_passed_through() -> None:
    images = np.arange(2 * 8 * 9, dtype=np.uint8).reshape(2, 8, 9)
    source = ShrunkImages(ArraySource(images), size=4)
    assert source.load(1).shape == (1, 8, 9)
    assert caches() == []


def test_the_name_of_the_cache_tells_folder_and_size(make_images: Make) -> None:
    cache = ShrunkImages(ImageFolder(make_images('a.png', folder='my photos')), size=5).cache
    assert cache.name.startswith('my_photos-5-')
    assert len(cache.name) == len('my_photos-5-') + 8 + 1 + 16 + len('.pixels')


def test_bad_settings_are_refused(make_images: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_images('a.png')
    with pytest.raises(ValueError, match='size of at least 1'):
        ShrunkImages(ImageFolder(root), size=0)
    monkeypatch.setenv('MMSSL_CACHE_GB', 'much')
    with pytest.raises(ValueError, match="MMSSL_CACHE_GB is 'much'"):
        ShrunkImages(ImageFolder(root), size=5)


def test_images_that_pillow_warns_of_are_named_when_they_are_shrunk(
    make_images: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, exif = make_images('0.png', '1.png'), Image.Exif()
    exif[ExifTags.Base.Make] = 'a maker of cameras'
    for name in ('2.jpg', '3.jpg'):
        Image.new('RGB', (40, 40)).save(root / name, exif=exif.tobytes()[:-9])
    said: list[str] = []
    monkeypatch.setattr(shrunk, 'print_log', lambda text, *_: said.append(text))
    ShrunkImages(ImageFolder(root), 16)
    (sentence,) = said
    assert 'Pillow warned of 2 images, which may be damaged: ' in sentence
    assert all(str(root / name) in sentence for name in ('2.jpg', '3.jpg'))
