"""Unpack archives into the layout that the configs need, and leave existing files alone."""

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from files import write_whole

Member = tuple[str, int, Callable[[], BinaryIO]]  # name, size in bytes, and a function that opens it
RATIO, SMALL = 200, 1 << 28  # an archive may unpack to so many times its bytes, and any archive to so many bytes
BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)


class Archive(NamedTuple):
    """An official archive.

    Attributes:
        name: Its file name.
        needed: Prefixes of the names of the members to unpack.
        strip: Number of leading folders to remove from those names.
    """

    name: str
    needed: tuple[str, ...]
    strip: int = 0


def place_of(name: str, archive: Archive, root: Path) -> Path | None:
    """The path of a member below ``root``; None if it is not needed.

    Raises:
        ValueError: The member would be written outside of ``root``.
    """
    parts = PurePosixPath(name).parts
    if name.startswith('/') or '..' in parts:
        raise ValueError(
            f'{archive.name} contains {name!r}, which would be written outside of {root}, so unpacking stops. '
            f'It is not the official archive: download that one again.'
        )
    inner = '/'.join(parts)
    return root.joinpath(*parts[archive.strip :]) if inner.startswith(archive.needed) else None


def zip_members(path: Path) -> Iterator[Member]:
    """The files in a zip archive."""
    with zipfile.ZipFile(path) as opened:
        for info in opened.infolist():
            if not info.is_dir():
                yield info.filename, info.file_size, partial(opened.open, info)


def tar_members(path: Path) -> Iterator[Member]:
    """The plain files in a tar archive.

    Links are skipped: no official archive needs one, and a link could redirect later members.
    """
    with tarfile.open(path) as opened:
        for info in opened:
            if info.isfile():
                yield info.name, info.size, partial(opened.extractfile, info)


def check_room(path: Path, total: int, size: int, root: Path) -> None:
    """Stop before a file that an archive cannot honestly hold, or that the disk has no room for.

    Args:
        path: The archive on disk.
        total: Bytes of its files so far, with the next one.
        size: Bytes of the next one.
        root: Folder of the layout.
    """
    if total > max(RATIO * path.stat().st_size, SMALL):
        raise ValueError(
            f'{path} has {path.stat().st_size:,} bytes and unpacks to more than {total:,}, so unpacking stops. It is '
            'not the official archive: download that one again.'
        )
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    if size > free:
        raise ValueError(f'{root} has {free:,} bytes free, and the next file needs {size:,}: free some space.')


def unpack(path: Path, archive: Archive, root: Path) -> tuple[int, int]:
    """Unpack the files that are needed and missing.

    A file that exists with the size in the archive is complete, since files are written whole or not at all.

    Args:
        path: The archive on disk.
        archive: Its description.
        root: Folder of the layout.

    Returns:
        Number of files written, and number of files needed.

    Raises:
        ValueError: The archive is incomplete, unpacks to far more than it has bytes, or does not fit on the disk.
    """
    written = needed = total = 0
    try:
        for name, size, open_member in zip_members(path) if path.suffix == '.zip' else tar_members(path):
            place = place_of(name, archive, root)
            needed += place is not None
            if place is not None and not (place.is_file() and place.stat().st_size == size):
                total += size
                check_room(path, total, size, root)
                with open_member() as content:
                    write_whole(place, content)
                written += 1
    except BROKEN as error:
        raise ValueError(
            f'{path} is not a complete archive ({error}): download it again, then repeat the command.'
        ) from error
    return written, needed
