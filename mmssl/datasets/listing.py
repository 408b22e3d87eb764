"""List of a folder's images: scanned once, cached, and shared by all processes on a machine.

The cache is one memory-mapped buffer of paths. A rank or worker needs no memory of its own for 1.28 million paths,
whereas as many Python strings would be copied into every worker, page by page, as their reference counts change.
"""

import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from mmssl.datasets.images import EXTENSIONS
from mmssl.files import atomic_write, cache_folder, file_lock

_FORMAT = 'mmssl folder 1'
_YOUNG = 2_000_000_000  # nanoseconds; the coarsest clock of any file system in use
_SUFFIXES = tuple(extension.encode() for extension in EXTENSIONS)
_ALIGN = 64


class Paths:
    """Many paths in one buffer.

    Args:
        text: All paths in a row, as bytes of the file system's encoding: uint8.
        ends: End of each path in ``text``: int64, shape ``(N,)``.
    """

    def __init__(self, text: np.ndarray, ends: np.ndarray) -> None:
        self.text, self.ends = text, ends

    @classmethod
    def pack(cls, paths: list[bytes]) -> 'Paths':
        """Pack a list of paths into one buffer."""
        lengths = np.fromiter(map(len, paths), np.int64, len(paths))
        return cls(np.frombuffer(b''.join(paths), np.uint8), np.cumsum(lengths))

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> str:
        start = self.ends[index - 1] if index else 0
        return os.fsdecode(self.text[start : self.ends[index]].tobytes())


@dataclass
class Listing:
    """Images of a folder, with their classes.

    Attributes:
        paths: Relative to the folder, sorted component by component.
        labels: Number of each image's top-level folder, int32, shape ``(N,)``; empty if there are no classes.
        classes: Names of these folders.
        fingerprint: Hash of paths and labels.
        cache: File that the arrays are mapped from, or None.
    """

    paths: Paths
    labels: np.ndarray
    classes: list[str]
    fingerprint: str
    cache: Path | None = None

    def __reduce__(self) -> tuple:  # a worker that is not forked maps the file itself
        if self.cache:
            return _reopen, (self.cache, self.fingerprint)
        return Listing, (self.paths, self.labels, self.classes, self.fingerprint)


def list_folder(root: Path) -> Listing:
    """List the images of a folder, from the cache if nothing has changed.

    Every process may call this. A file lock lets one process per machine scan; the others read its cache. (A lock
    rather than a barrier: it is released if its process dies, so nobody waits for a dead rank.)

    A cached list is used if every folder has the inode, mtime and ctime that it had when it was scanned; adding,
    removing or renaming files and folders anywhere changes one of them. Files overwritten in place go unnoticed, which
    does no harm, since images are read anew. A folder that changed less than two seconds before its scan may change
    again within the same tick of a coarse clock; later runs do not use such a list, but scan once more. (The clocks of
    a file server and of this machine are assumed to agree within that time.)

    Args:
        root: Folder to search; links are followed, and names that begin with a dot are skipped.

    Returns:
        The sorted list; empty if there are no images.
    """
    asked, cache = time.time_ns(), _cache_of(root)
    listing = _load(cache, root, asked)
    if listing is None:
        with file_lock(cache.with_suffix('.lock')):
            listing = _load(cache, root, asked) or _scan(root, cache)
    return listing


def _scan(root: Path, cache: Path) -> Listing:
    print_log(f'Looking for images in {root} ...', logger='current')
    started = time.time_ns()
    scan = _Scan()
    scan.visit(os.fsencode(root), b'', ())
    labels, classes = scan.classes()
    paths = Paths.pack(scan.found)
    digest = hashlib.sha256(paths.text)
    digest.update(paths.ends)
    digest.update(labels)
    listing = Listing(paths, labels, classes, digest.hexdigest()[:16])
    header = {'root': str(root.resolve()), 'started': started, 'folders': scan.folders}
    try:
        return _store(listing, header, cache)
    except OSError as error:
        print_log(f'The list of images is not cached ({error}): set MMSSL_CACHE to a writable folder.', 'current')
        return listing


class _Scan:
    """Scan of a folder: the images, the time stamp of each folder, and the number of images per top-level folder."""

    def __init__(self) -> None:
        self.found: list[bytes] = []
        self.folders: list[list] = []
        self.tops: list[tuple[bytes, int]] = []

    def visit(self, folder: bytes, prefix: bytes, parents: tuple[tuple[int, int], ...]) -> None:
        """Add the content of a folder; its time stamp is taken before it is read."""
        stat = os.stat(folder)  # noqa: PTH116 - pathlib takes no bytes
        identity = (stat.st_dev, stat.st_ino)
        if identity in parents:  # a link to a parent
            return
        self.folders.append([os.fsdecode(prefix), *_stamp(stat)])
        with os.scandir(folder) as entries:
            is_folder = {entry.name: entry.is_dir() for entry in entries if not entry.name.startswith(b'.')}
        for name in sorted(is_folder):
            if is_folder[name]:
                before = len(self.found)
                self.visit(folder + b'/' + name, prefix + name + b'/', (*parents, identity))
                if not prefix and len(self.found) > before:
                    self.tops.append((name, len(self.found) - before))
            elif name.lower().endswith(_SUFFIXES):
                self.found.append(prefix + name)

    def classes(self) -> tuple[np.ndarray, list[str]]:
        """Return the top-level folders as classes, if every image is in one and there are at least two."""
        counts = [count for _, count in self.tops]
        if len(counts) < 2 or sum(counts) < len(self.found):
            return np.empty(0, np.int32), []
        return np.repeat(np.arange(len(counts), dtype=np.int32), counts), [os.fsdecode(name) for name, _ in self.tops]


def _stamp(stat: os.stat_result) -> list[int]:
    return [stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]


def _cache_of(root: Path) -> Path:
    name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return cache_folder('folders') / f'{name}.list'


def _store(listing: Listing, header: dict, cache: Path) -> Listing:
    """Write the cache, and return the list that is mapped from it."""
    arrays = (listing.paths.ends, listing.labels, listing.paths.text)
    header.update(
        format=_FORMAT, sizes=[array.nbytes for array in arrays],
        classes=listing.classes, fingerprint=listing.fingerprint,
    )  # fmt: skip
    line = json.dumps(header).encode() + b'\n'
    cache.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(cache) as file:
        file.write(line + b' ' * (-len(line) % _ALIGN))
        for array in arrays:
            file.write(array.data)
    return _read(cache)[0]


def _read(cache: Path) -> tuple[Listing, dict]:
    with cache.open('rb') as file:
        line = file.readline()
    header = json.loads(line)
    if header['format'] != _FORMAT:
        raise ValueError(f'{cache} has another format')
    start = len(line) + -len(line) % _ALIGN
    if cache.stat().st_size != start + sum(header['sizes']):
        raise ValueError(f'{cache} is incomplete')
    content = np.asarray(np.memmap(cache, np.uint8, 'r'))  # a plain array is faster to index
    ends, labels, text = np.split(content[start:], np.cumsum(header['sizes'])[:-1])
    paths = Paths(text, ends.view(np.int64))
    return Listing(paths, labels.view(np.int32), header['classes'], header['fingerprint'], cache), header


def _load(cache: Path, root: Path, asked: int) -> Listing | None:
    """Return the cached list if it exists and is still valid."""
    try:
        listing, header = _read(cache)
        unchanged = all(_stamp((root / folder).stat()) == stamp for folder, *stamp in header['folders'])
    except (OSError, ValueError, KeyError):
        return None
    newest = max(stamp[-1] for stamp in header['folders'])
    # A scan that began after this process asked is as good as its own.
    settled = header['started'] - newest > _YOUNG or header['started'] >= asked
    return listing if unchanged and settled and header['root'] == str(root.resolve()) else None


def _reopen(cache: Path, fingerprint: str) -> Listing:
    listing = _read(cache)[0]
    if listing.fingerprint != fingerprint:
        raise RuntimeError('The folder of images changed while workers were started: start again.')
    return listing
