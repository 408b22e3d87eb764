"""Unpack archives into the layout that the configs ask for; what is there already is left alone."""

import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from files import write_whole

Member = tuple[str, int, Callable[[], BinaryIO]]  # name, bytes, and what opens it
BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)


class Archive(NamedTuple):
    """An archive as its owners hand it out.

    Attributes:
        name: Its file name.
        needed: How the names of the members begin that the layout has.
        strip: How many leading folders of those names the layout does not have.
    """

    name: str
    needed: tuple[str, ...]
    strip: int = 0


def place_of(name: str, archive: Archive, root: Path) -> Path | None:
    """Where a member belongs below ``root``, None where it is not needed.

    Raises:
        ValueError: Where the member would land outside of ``root``.
    """
    parts = PurePosixPath(name).parts
    if name.startswith('/') or '..' in parts:
        raise ValueError(
            f'{archive.name} holds {name!r}, which would land outside of {root}: nothing more is unpacked from it. '
            f'It is not the official archive; fetch that one again.'
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

    Links are passed over: no official archive needs one, and so a later member cannot be led elsewhere by one.
    """
    with tarfile.open(path) as opened:
        for info in opened:
            if info.isfile():
                yield info.name, info.size, partial(opened.extractfile, info)


def unpack(path: Path, archive: Archive, root: Path) -> tuple[int, int]:
    """Unpack what is needed and not there.

    A file counts as there if it has the size that the archive states: files are written whole or not at all.

    Args:
        path: The archive on disk.
        archive: What is known about it.
        root: Folder of the layout.

    Returns:
        How many files were written, and how many are needed.
    """
    written = needed = 0
    try:
        for name, size, open_member in zip_members(path) if path.suffix == '.zip' else tar_members(path):
            place = place_of(name, archive, root)
            needed += place is not None
            if place is not None and not (place.is_file() and place.stat().st_size == size):
                with open_member() as content:
                    write_whole(place, content)
                written += 1
    except BROKEN as error:
        raise ValueError(f'{path} is not a whole archive ({error}): fetch it again, then repeat this call.') from error
    return written, needed
