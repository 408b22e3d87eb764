"""Files and folders: atomic writes, locks, the cache folder, and paths in configs."""

import csv
import io
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal

from filelock import FileLock

_FORMULA = ('=', '+', '-', '@', '\t', '\r', '\n', '\uff1d', '\uff0b', '\uff0d', '\uff20')  # also in full width
# Without flock, a newer filelock would fall back to marker files, and a dead process's marker would stay.
_REAL_LOCKS = {'fallback_to_soft': False} if hasattr(FileLock, 'fallback_to_soft') else {}


@contextmanager
def atomic_write(path: str | Path, temporary: str = '') -> Iterator[BinaryIO]:
    """Write under a temporary name, flush to the disk, then rename: a reader sees the old file or the new one.

    If the block raises, the temporary file is removed and the old file stays.

    Args:
        path: Path of the file; its folder must exist.
        temporary: Name of the temporary file, in the same folder; by default one that no other process uses. Under a
            fixed name, the next write overwrites what a killed process left.

    Yields:
        The temporary file, open for writing bytes.
    """
    path = Path(path)
    draft = path.with_name(temporary or f'.{path.name}.{secrets.token_hex(4)}.tmp')
    try:
        with draft.open('wb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(path.parent)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last through a loss of power, where the file system can."""
    with suppress(OSError):  # Windows opens no folders, and some network file systems flush none
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def write_json(path: str | Path, content: Any) -> None:
    """Write plain values as indented JSON, atomically; see :func:`atomic_write`.

    Args:
        path: Path of the file.
        content: Dictionaries, lists, numbers and texts; anything else is converted to text.
    """
    with atomic_write(path) as file:
        file.write((json.dumps(content, indent=2, default=str) + '\n').encode())


def write_csv(path: str | Path, rows: Iterable[Iterable[Any]]) -> None:
    """Write a table, atomically; no cell starts a formula in a spreadsheet.

    Names of files, classes and networks may be anybody's. Where a text starts like a formula, ``'`` stands before it.

    Args:
        path: Path of the file.
        rows: Its rows, the first with the names of the columns.
    """
    text = io.StringIO(newline='')
    csv.writer(text).writerows([_harmless(cell) for cell in row] for row in rows)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode(errors='surrogateescape'))


def _harmless(cell: Any) -> Any:
    if not isinstance(cell, str) or not cell.lstrip(' ').startswith(_FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


@contextmanager
def file_lock(path: str | Path) -> Iterator[None]:
    """Let one process per machine into the block at a time; the lock is released if its process dies.

    Args:
        path: Lock file; created if it does not exist. If that fails, or the file system has no locks, all processes
            enter the block.
    """
    with ExitStack() as stack:
        with suppress(OSError, NotImplementedError):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(path, **_REAL_LOCKS))
        yield


def cache_folder(kind: Literal['weights', 'folders', 'shrunk'] = 'weights') -> Path:
    """Return the folder of files that can be downloaded or computed again.

    The root is ``MMSSL_CACHE``, else ``mmssl`` in ``XDG_CACHE_HOME``, else ``~/.cache/mmssl``. Each kind has a folder
    of its own in it, except that ``MMSSL_CACHE`` is itself the folder of the weights.

    Args:
        kind: ``'weights'`` of the model zoo, ``'folders'``, the lists of images, or ``'shrunk'``, the images shrunk for
            training.

    Returns:
        The folder; it may not exist yet.
    """
    own = os.environ.get('MMSSL_CACHE')
    if own:
        return Path(own) if kind == 'weights' else Path(own) / kind
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'mmssl' / kind


def rebase_paths(value: Any, old: str, new: str) -> Any:
    """Replace the folder that the paths in a config value start with.

    Args:
        value: A path, another plain value, or a dictionary or sequence of these.
        old: Folder that paths start with.
        new: Folder that they start with afterwards.

    Returns:
        A copy.
    """
    old, new = old.rstrip('/'), new.rstrip('/')
    if isinstance(value, dict):
        return {key: rebase_paths(inside, old, new) for key, inside in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(rebase_paths(inside, old, new) for inside in value)  # a size must stay a tuple
    under = isinstance(value, str) and (value == old or value.startswith(f'{old}/'))
    return new + value[len(old) :] if under else value
