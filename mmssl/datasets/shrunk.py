"""Images shrunk once into a cache on disk, so that training need not decode the files at every draw."""

import hashlib
import logging
import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from mmssl.datasets.images import UnreadableImageError, read_image, watch_warnings
from mmssl.datasets.listing import printable
from mmssl.datasets.sources import ImageFolder, ImageList, ImageSource, build_source
from mmssl.datasets.transforms import resize
from mmssl.files import atomic_write, cache_folder, file_lock
from mmssl.progress import Progress
from mmssl.registry import DATASETS

# A file: its header, one row per image, then the pixels, interleaved. All numbers are int64.
_MAGIC = 0x6D6D73736C01  # 'mmssl', format 1
_HEADER = 3  # magic number, number of images, size of the file
_ROW = 5  # start in the file, height, width, channels (0: unreadable), bytes per value
_WORD = 8  # bytes of an int64
_CHUNK = 256
_NAMED = 10  # images with warnings that the log names
_GIGABYTE = 10**9
_MOST = 20 * _GIGABYTE
_FROM_FILES = (ImageFolder.load, ImageList.load)  # a subclass that loads in another way has another function


@DATASETS.register_module()
class ShrunkImages(ImageSource):
    """Images of another source, shrunk so that the shorter side has ``size`` pixels; larger ones only, shape kept.

    The first time, every file is decoded and shrunk once, with antialiasing, into one memory-mapped file in the folder
    ``shrunk`` of the cache; later runs and other processes read that file. (Large JPEG files of a folder or list are
    decoded at a fraction of their size, at least twice the wanted one; that changes values by less than one grey level
    on average.) It is made anew if a file is added, removed, or has another size or time of change; that of the
    folder's earlier state is then deleted. All these files together take at most 20 GB and half of the free disk, or
    ``MMSSL_CACHE_GB``; those used longest ago are deleted first. If the images do not fit, or the folder is not
    writable, one line says so and images are decoded at each draw.

    Images without a file of their own (arrays) are passed through. Extras are passed on as they are: those in pixels of
    the image, such as boxes, do not suit a shrunk one.

    Args:
        source: Source or its config.
        size: Shorter side in pixels; at least the side of the views divided by the root of their smallest scale keeps
            all detail.

    Raises:
        ValueError: ``size`` is below 1, or ``MMSSL_CACHE_GB`` is no number from 0.

    Attributes:
        source: The source.
        cache: File of the shrunk images, or None if they are decoded at each draw.
    """

    def __init__(self, source: ImageSource | dict, size: int) -> None:
        if size < 1:
            raise ValueError(f'Images cannot be shrunk to {size} pixels: give a size of at least 1.')
        self.source, self.size = build_source(source), size
        self.cache = _prepare(self.source, size)
        self._open()

    def _open(self) -> None:
        """Map the cache into memory; without one, images are decoded at each draw."""
        content = _read(self.cache) if self.cache else None
        self._rows: np.ndarray | None = content[0] if content else None
        self._bytes = content[1] if content else np.empty(0, np.uint8)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ('_rows', '_bytes')}

    def __setstate__(self, state: dict[str, Any]) -> None:  # a worker that is not forked maps the file itself
        self.__dict__.update(state)
        self._open()

    def __len__(self) -> int:
        return len(self.source)

    def load(self, index: int) -> Tensor:
        """Return a copy of the shrunk image, uint8 or uint16, shape ``(C, H, W)``.

        Args:
            index: From 0 to ``len(self) - 1``.

        Raises:
            UnreadableImageError: The image cannot be decoded.
        """
        if self._rows is None:
            return self.source.load(index)
        start, height, width, channels, width_of_value = self._rows[index].tolist()
        if not channels:  # it could not be read; the source says why
            return self.source.load(index)
        pixels = self._bytes[start : start + height * width * channels * width_of_value].copy()
        if width_of_value == 2:
            pixels = pixels.view(np.uint16)
        return torch.from_numpy(pixels.reshape(height, width, channels)).permute(2, 0, 1)

    def name(self, index: int) -> str:
        """Name of the image in the source."""
        return self.source.name(index)

    def extras(self, index: int) -> dict[str, Any]:
        """Further fields of the image in the source."""
        return self.source.extras(index)

    def path(self, index: int) -> Path | None:
        """File of the image, if it has one."""
        return self.source.path(index)

    def label(self, index: int) -> int | None:
        """Class of an image, or None."""
        return self.source.label(index)

    @property
    def labels(self) -> Tensor | None:
        """Class of every image, int64, shape ``(N,)``, or None."""
        return self.source.labels

    @property
    def classes(self) -> list[str] | None:
        """Names of the source's classes, or None."""
        return self.source.classes

    @property
    def domain_labels(self) -> Tensor | None:
        """Domain of every image, int64, shape ``(N,)``, or None."""
        return self.source.domain_labels

    @property
    def domains(self) -> list[str] | None:
        """Names of the source's domains, or None."""
        return self.source.domains

    @property
    def fingerprint(self) -> str:
        """Fingerprint of the source."""
        return self.source.fingerprint


def _prepare(source: ImageSource, size: int) -> Path | None:
    """Return the cache of a source, made if there is none yet; None if there cannot be one."""
    limit, stamp = _limit(), _stamp(source)
    if stamp is None:
        return None
    place = _place(source, size)
    cache = cache_folder('shrunk') / f'{place}-{stamp}.pixels'
    with file_lock(cache.with_name(f'{place}.lock')):
        try:
            if _read(cache) is None:
                _build(source, size, cache, limit)
                _clean(cache, place, isinstance(source, ImageFolder), limit)
            os.utime(cache)  # the order of use, by which old caches are deleted
        except OSError as error:
            print_log(
                f'Images are decoded at each draw, not cached ({error}): set MMSSL_CACHE to a writable folder with '
                f'more room, or MMSSL_CACHE_GB to more gigabytes.', 'current',
            )  # fmt: skip
            return None
    return cache


def _stamp(source: ImageSource) -> str | None:
    """Hash the path, name, size and time of change of every image; None if one has no file."""
    digest = hashlib.sha256()
    for index in range(len(source)):
        path = source.path(index)
        if path is None:
            return None
        try:
            stat = path.stat()
            state = (stat.st_size, stat.st_mtime_ns)
        except OSError:
            state = (-1, -1)
        digest.update(f'{path.absolute()}\0{source.name(index)}\0{state}\0'.encode('utf-8', 'surrogateescape'))
    return digest.hexdigest()[:16]


def _place(source: ImageSource, size: int) -> str:
    """Name of the folder that holds all images, the size, and a hash that tells folders of one name apart."""
    root = source.root if isinstance(source, ImageFolder) else Path(source.path(0) or '').parent
    digest = hashlib.sha256(os.fsencode(root.absolute())).hexdigest()[:8]
    readable = re.sub(r'[^\w.-]', '_', root.absolute().name)[:60]
    return f'{readable}-{size}-{digest}'


def _limit() -> float:
    """Most bytes that all caches together may take."""
    given = os.environ.get('MMSSL_CACHE_GB')
    if given:
        if not re.fullmatch(r'\d+(\.\d+)?', given):
            raise ValueError(f'MMSSL_CACHE_GB is {given!r}: set it to the gigabytes for shrunk images, as 5 or 0.5.')
        return float(given) * _GIGABYTE
    folder = cache_folder('shrunk')
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    taken = sum(cache.stat().st_size for cache in folder.glob('*.pixels'))
    return min(_MOST, (shutil.disk_usage(existing).free + taken) / 2)


def _build(source: ImageSource, size: int, cache: Path, limit: float) -> None:
    """Decode and shrink all images into a cache; a build that is interrupted leaves nothing that anybody reads.

    Raises:
        OSError: The images will not fit within the limit, or cannot be written.
    """
    cache.parent.mkdir(parents=True, exist_ok=True)
    rows = np.zeros((len(source), _ROW), np.int64)
    first = _WORD * (_HEADER + rows.size)
    # The place's lock is held: under this name, the next build overwrites what a killed one left.
    with atomic_write(cache, f'.{cache.name}.tmp') as file:
        file.seek(first)
        for done, image in enumerate(_shrink_all(source, size), start=1):
            rows[done - 1] = _append(file, image)
            expected = first + (file.tell() - first) / done * len(source)
            if done % _CHUNK == 0 or done == len(source):
                _check_room(expected, limit)
        size_of_file = file.tell()
        file.seek(0)
        file.write(np.array([_MAGIC, len(source), size_of_file]).tobytes() + rows.tobytes())


def _check_room(expected: float, limit: float) -> None:
    if expected > limit:
        raise OSError(f'they need {expected / _GIGABYTE:.2g} GB, and {limit / _GIGABYTE:.2g} GB are allowed')


def _shrink_all(source: ImageSource, size: int) -> Iterator[Tensor | None]:
    """Yield all images in order, shrunk; None for an unreadable one. Decoding releases the GIL, so threads suffice."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    warned: dict[str, str] = {}

    def shrink(index: int) -> Tensor | None:
        with watch_warnings() as found:  # of this thread
            image = _shrink(source, index, size)
        warned.update(found if image is not None else {})
        return image

    with Progress('Shrinking images', len(source)) as bar, ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(source), _CHUNK):  # few at a time, or the shrunk images would fill the memory
            chunk = range(start, min(start + _CHUNK, len(source)))
            for image in pool.map(shrink, chunk):
                yield image
                bar.advance()
    if warned:
        names = ', '.join(map(printable, list(warned)[:_NAMED])) + (' ...' if len(warned) > _NAMED else '')
        print_log(f'Pillow warned of {len(warned)} images, which may be damaged: {names}.', 'current', logging.WARNING)


def _shrink(source: ImageSource, index: int, size: int) -> Tensor | None:
    try:
        image = _decode(source, index, size)
    except UnreadableImageError:
        return None
    height, width = image.shape[1:]
    share = size / min(height, width)
    if share >= 1:
        return image
    return resize(image, max(size, round(height * share)), max(size, round(width * share)))


def _decode(source: ImageSource, index: int, size: int) -> Tensor:
    """Decode an image, a large JPEG at a fraction of its size, but twice the wanted one: antialiasing does the rest."""
    path = source.path(index)
    return read_image(path, 2 * size) if path and type(source).load in _FROM_FILES else source.load(index)


def _append(file: BinaryIO, image: Tensor | None) -> tuple[int, int, int, int, int]:
    """Write an image's pixels; return its row."""
    start = file.tell()
    if image is None:
        return start, 0, 0, 0, 0
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    file.write(pixels.data)
    return (start, *pixels.shape, pixels.itemsize)


def _read(cache: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Map the rows and the bytes of a cache; None if there is none, or it is no whole one."""
    try:
        content = np.asarray(np.memmap(cache, np.uint8, 'r'))  # a plain array is faster to index
    except (OSError, ValueError):
        return None
    if len(content) < _WORD * _HEADER:
        return None
    magic, number, size = content[: _WORD * _HEADER].view(np.int64).tolist()
    if magic != _MAGIC or size != len(content):
        return None
    rows = content[_WORD * _HEADER : _WORD * (_HEADER + number * _ROW)]
    return rows.view(np.int64).reshape(number, _ROW), content


def _clean(cache: Path, place: str, whole: bool, limit: float) -> None:
    """Delete the caches of a whole folder's earlier states, then those used longest ago until the rest fits."""
    others = [other for other in cache.parent.glob('*.pixels') if other != cache]
    stale = [other for other in others if whole and other.name.startswith(f'{place}-')]
    kept = sorted((other for other in others if other not in stale), key=lambda other: other.stat().st_mtime)
    room = limit - cache.stat().st_size - sum(other.stat().st_size for other in kept)
    for other in kept:
        if room < 0:
            room += other.stat().st_size
            stale.append(other)
    # Of builds that were killed; the place's lock is held, so none of them goes on.
    stale += cache.parent.glob(f'.{place}-*.tmp')
    for other in stale:  # a process that has it mapped can go on reading
        other.unlink(missing_ok=True)
