"""List of a folder's images: scanned once, cached, and shared by all processes on a machine.

The cache is one memory-mapped buffer of paths. A rank or worker needs no memory of its own for 1.28 million paths,
whereas as many Python strings would be copied into every worker, page by page, as their reference counts change.
"""

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from mmssl.datasets.images import EXTENSIONS, is_image
from mmssl.files import atomic_write, cache_folder, file_lock

_FORMAT = 'mmssl folder 3'
_YOUNG = 2_000_000_000  # nanoseconds; the coarsest clock of any file system in use
_SUFFIXES = tuple(extension.encode() for extension in EXTENSIONS)
_ALIGN = 64
# Folders that operating systems, archivers and network drives add; in lower case.
_NOT_DATA = frozenset((
    '$recycle.bin', '#recycle', '#snapshot', '@eadir', '@recycle', '__macosx', 'lost+found',
    'system volume information',
))  # fmt: skip
_PARTS = {
    'train': 'train', 'training': 'train', 'val': 'val', 'valid': 'val', 'validation': 'val', 'test': 'test',
    'testing': 'test',
}  # fmt: skip
_NAMED = 10  # classes, and odd entries, that the description of a folder names
_FOLDER, _FILE, _BROKEN_LINK = 'a folder', 'a file', 'a link that leads nowhere'


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
        labels: Number of each image's class folder, -1 for none; int32, shape ``(N,)``; empty if there are no classes.
        classes: Names of these folders.
        fingerprint: Hash of paths and labels.
        parts: Names of the top-level folders that are parts (``train``, ``val``, ``test``), not classes.
        passed_over: Number of files that are no images, by suffix.
        odd: What the first entries are that are neither files nor folders, by their names: pipes, broken links.
        cache: File that the arrays are mapped from, or None.
    """

    paths: Paths
    labels: np.ndarray
    classes: list[str]
    fingerprint: str
    parts: list[str] = field(default_factory=list)
    passed_over: dict[str, int] = field(default_factory=dict)
    odd: dict[str, str] = field(default_factory=dict)
    cache: Path | None = None

    def __reduce__(self) -> tuple:  # a worker that is not forked maps the file itself
        if self.cache:
            return _reopen, (self.cache, self.fingerprint)
        return Listing, (
            self.paths,
            self.labels,
            self.classes,
            self.fingerprint,
            self.parts,
            self.passed_over,
            self.odd,
        )

    def describe(self, root: Path) -> str:
        """Say in one line what was found in a folder: images, classes, and the files that were passed over.

        Args:
            root: The folder, as it is to be named.
        """
        parts = f'the folders in {", ".join(self.parts)}:' if self.parts else 'its folders'
        names = ', '.join(map(printable, self.classes[:_NAMED])) + (' ...' if len(self.classes) > _NAMED else '')
        classes = f'{len(self.classes)} classes ({parts} {names})' if self.classes else 'no classes'
        others = ', '.join(f'{count:,} {printable(suffix)}' for suffix, count in self.passed_over.items())
        passed = f' Files passed over: {others}.' if others else ''
        odd = ', '.join(f'{printable(name)} ({kind})' for name, kind in self.odd.items())
        more = ' ...' if len(self.odd) == _NAMED else ''
        passed += f' Neither files nor folders: {odd}{more}.' if odd else ''
        return f'{printable(str(root))}: {len(self.paths):,} images, {classes}.{passed}'


@dataclass(frozen=True)
class Parts:
    """Parts of a data set that lie in folders of their own.

    Attributes:
        train: Folder named ``train`` or ``training``.
        val: Folder named ``val``, ``valid`` or ``validation``, or None.
        test: Folder named ``test`` or ``testing``, or None.
    """

    train: Path
    val: Path | None = None
    test: Path | None = None


def find_parts(root: str | Path) -> Parts | None:
    """Find the parts of a data set, as most data sets lay them out: ``train`` beside ``val`` or ``test``, in any case.

    Args:
        root: Folder of the data set.

    Returns:
        The parts; None if there is no training part, or it lies among other folders alone, as a class does: ``bus``,
        ``car``, ``train``.
    """
    names = [entry.name for entry in sorted(Path(root).iterdir()) if entry.is_dir() and _may_hold_images(entry.name)]
    chosen = _parts_among(names)
    found = {_PARTS[name.lower()]: Path(root) / name for name in reversed(chosen)}
    return Parts(**found) if 'train' in found else None


def _parts_among(names: Sequence[str]) -> list[str]:
    """Return the names of parts among those of a data set's folders; none if the folders are classes."""
    chosen = [name for name in names if name.lower() in _PARTS]
    kinds = {_PARTS[name.lower()] for name in chosen}
    return chosen if len(kinds) > 1 or (kinds == {'train'} and len(names) == 1) else []


def _may_hold_images(folder: str) -> bool:
    return not folder.startswith('.') and folder.lower() not in _NOT_DATA


def printable(name: str) -> str:
    """Replace what is no text in a file's name, so that it can be printed and written."""
    return name.encode('utf-8', 'surrogateescape').decode('utf-8', 'replace')


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
        root: Folder to search. Links are followed; names that begin with a dot are skipped, and so are folders that
            systems and archivers add, such as ``$RECYCLE.BIN``, ``@eaDir`` and ``__MACOSX``. A file without a suffix is
            an image if it begins as one. Pipes and links that lead nowhere are passed over.

    Returns:
        The sorted list; empty if there are no images.

    Raises:
        ValueError: A folder cannot be listed.
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
    labels, classes, parts = scan.classes()
    paths = Paths.pack(scan.found)
    digest = hashlib.sha256(paths.text)
    digest.update(paths.ends)
    digest.update(labels)
    passed_over = dict(scan.passed_over.most_common())
    listing = Listing(paths, labels, classes, digest.hexdigest()[:16], parts, passed_over, scan.odd)
    header = {'root': str(root.resolve()), 'started': started, 'folders': scan.folders}
    try:
        return _store(listing, header, cache)
    except OSError as error:
        print_log(f'The list of images is not cached ({error}): set MMSSL_CACHE to a writable folder.', 'current')
        return listing


@dataclass(frozen=True)
class _Span:
    """Images of one folder, which follow each other in the list."""

    name: str
    start: int
    end: int


class _Scan:
    """Scan of a folder: the images, the time stamp of each folder, and which images lie in which of the upper folders.

    Attributes:
        found: Paths of the images.
        folders: Path and time stamp of each folder.
        passed_over: Number of other files by suffix.
        odd: What the first entries are that are neither files nor folders, by their names.
    """

    def __init__(self) -> None:
        self.found: list[bytes] = []
        self.folders: list[list] = []
        self.passed_over: Counter[str] = Counter()
        self.odd: dict[str, str] = {}
        self._below: dict[str, list[_Span]] = {'': []}  # folders with images, by their parent's path

    def visit(self, folder: bytes, prefix: bytes, parents: tuple[tuple[int, int], ...]) -> None:
        """Add the content of a folder; its time stamp is taken before it is read."""
        stat = os.stat(folder)  # noqa: PTH116 - pathlib takes no bytes
        identity = (stat.st_dev, stat.st_ino)
        if identity in parents:  # a link to a parent
            return
        self.folders.append([os.fsdecode(prefix), *_stamp(stat)])
        entries = _entries(folder)
        for name in sorted(entries):
            if entries[name] == _FOLDER:
                self._visit_below(folder, prefix, name, (*parents, identity))
            elif entries[name] != _FILE:
                if len(self.odd) < _NAMED:
                    self.odd[os.fsdecode(prefix + name)] = entries[name]
            elif name.lower().endswith(_SUFFIXES) or (b'.' not in name and is_image(os.fsdecode(folder + b'/' + name))):
                self.found.append(prefix + name)
            else:
                suffix = os.path.splitext(os.fsdecode(name))[1].lower()  # noqa: PTH122 - faster than a Path
                self.passed_over[suffix or 'without a suffix'] += 1

    def _visit_below(self, folder: bytes, prefix: bytes, name: bytes, parents: tuple[tuple[int, int], ...]) -> None:
        title, before = os.fsdecode(name), len(self.found)
        if title.lower() in _NOT_DATA:
            return
        self.visit(folder + b'/' + name, prefix + name + b'/', parents)
        if prefix.count(b'/') < 2 and len(self.found) > before:
            span = _Span(title, before, len(self.found))
            self._below.setdefault(os.fsdecode(prefix), []).append(span)

    def classes(self) -> tuple[np.ndarray, list[str], list[str]]:
        """Return labels, names of the class folders, and names of the parts above them.

        The top-level folders are the classes if every image is in one and there are at least two. If they are parts,
        the classes are the folders in the training part (in all parts, if there is none); images elsewhere have none.
        """
        tops = self._below['']
        parts = _parts_among([span.name for span in tops])
        if not parts:
            inside = sum(span.end - span.start for span in tops)
            return *self._labels(tops if inside == len(self.found) else []), []
        below = [span for part in parts for span in self._below.get(f'{part}/', [])]
        training = [part for part in parts if _PARTS[part.lower()] == 'train'] or parts
        known = {span.name for part in training for span in self._below.get(f'{part}/', [])}
        return *self._labels([span for span in below if span.name in known]), parts

    def _labels(self, spans: Sequence[_Span]) -> tuple[np.ndarray, list[str]]:
        """Number the folders by their names, in sorted order; none if there are fewer than two names."""
        names = sorted({span.name for span in spans}, key=os.fsencode)
        if len(names) < 2:
            return np.empty(0, np.int32), []
        numbers = {name: number for number, name in enumerate(names)}
        labels = np.full(len(self.found), -1, np.int32)
        for span in spans:
            labels[span.start : span.end] = numbers[span.name]
        return labels, names


def _entries(folder: bytes) -> dict[bytes, str]:
    """What the entries of a folder are, by their names; links count as what they lead to."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: _kind(entry) for entry in entries if not entry.name.startswith(b'.')}
    except OSError as error:
        raise ValueError(
            f'The folder {printable(os.fsdecode(folder))} cannot be listed ({error.strerror}): make it readable, or '
            'move it elsewhere.'
        ) from error


def _kind(entry: os.DirEntry) -> str:
    try:
        if entry.is_dir():
            return _FOLDER
        if entry.is_file():
            return _FILE
    except OSError:  # a link to itself
        return _BROKEN_LINK
    return _BROKEN_LINK if entry.is_symlink() else 'a pipe, socket or device'


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
        classes=listing.classes, fingerprint=listing.fingerprint, parts=listing.parts, passed_over=listing.passed_over,
        odd=listing.odd,
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
    more = {name: header[name] for name in ('classes', 'fingerprint', 'parts', 'passed_over', 'odd')}
    return Listing(paths, labels.view(np.int32), **more, cache=cache), header


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
