"""Download files atomically, once for all processes: resumed after interruptions, and checked."""

import errno
import hashlib
import json
import os
import shutil
import time
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from mmssl.files import file_lock
from mmssl.progress import Progress

_BLOCK = 1 << 20
_TIMEOUT = 30  # seconds without an answer
_TRIES = 4  # consecutive ones that bring nothing new
_PAUSE = 1.0  # seconds before another try


class DownloadError(OSError):
    """A file could not be downloaded; the message says what to do."""


def download(
    url: str,
    path: str | Path,
    checksum: str = '',
    timeout: float = _TIMEOUT,
    tries: int = _TRIES,
    mirror: bool = True,
) -> Path:
    """Download a file unless it exists.

    If the connection breaks, the part received so far stays next to the file, as ``.part``, and further tries and later
    calls continue it. It is discarded if the server's file has changed since, or if the server sends only whole files.
    If several processes ask for the same file, one downloads it and the others wait.

    Args:
        url: Address. The environment variable ``MMSSL_MIRROR`` replaces its scheme and host.
        path: Path of the file.
        checksum: ``'sha256:'`` or ``'md5:'`` and the hash or its start; without it, any content is accepted.
        timeout: Seconds without an answer after which a try fails.
        tries: Maximum number of consecutive tries that bring nothing new.
        mirror: Whether ``MMSSL_MIRROR`` counts.

    Returns:
        The file.

    Raises:
        DownloadError: The server cannot be reached or has no such file, or the disk is full.
        ValueError: The file does not match the checksum; it was removed.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _disk_error(error, path) from error
    with file_lock(path.with_name(f'{path.name}.lock')):
        if not path.exists():
            part = path.with_name(f'{path.name}.part')
            _fetch(mirrored(url) if mirror else url, part, path, timeout, tries)
            check(part, checksum, url)
            part.replace(path)
            _note(part).unlink(missing_ok=True)
    return path


def mirrored(url: str) -> str:
    """Replace the scheme and host of an address with the scheme, host and folder of ``MMSSL_MIRROR``."""
    mirror = os.environ.get('MMSSL_MIRROR', '').rstrip('/')
    return mirror + urlsplit(url).path if mirror else url


def file_hash(path: str | Path, kind: str = 'sha256') -> str:
    """Compute the hash of a file, in hexadecimal digits.

    Args:
        path: The file.
        kind: ``'sha256'`` or ``'md5'``.
    """
    digest = hashlib.new(kind)
    with Path(path).open('rb') as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def check(path: Path, checksum: str, url: str) -> None:
    """Check the hash of a file; remove the file and raise if it differs.

    Args:
        path: The file.
        checksum: As in ``download``.
        url: Address that it came from, for the message.

    Raises:
        ValueError: The content differs; the file was removed.
    """
    kind, _, wanted = checksum.partition(':')
    found = file_hash(path, kind) if wanted else ''
    if not found.startswith(wanted):
        path.unlink()
        raise ValueError(
            f'{url} has the {kind} hash {found[: len(wanted)]} instead of {wanted}: it is not the published '
            'file, or it was damaged on the way. It was removed; try again, or from another network.'
        )


def _note(part: Path) -> Path:
    """Path of the note about a partial file's address and version."""
    return part.with_name(f'{part.name}.json')


def _fetch(url: str, part: Path, path: Path, timeout: float, tries: int) -> None:
    """Fill ``part`` with the whole file; continue after interruptions."""
    failed, most = 0, _size(part)
    while True:
        try:
            if _fetch_once(url, part, timeout):
                return
            problem: Exception = ConnectionError('the connection was cut')
        except HTTPError as error:
            if error.code < 500:
                raise DownloadError(f'{url} answers {error.code} ({error.reason}). {_by_hand(path)}') from error
            problem = error
        except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
            problem = error
        except OSError as error:
            raise _disk_error(error, part) from error
        failed, most = (0, _size(part)) if _size(part) > most else (failed + 1, most)
        if failed == tries:
            reason = getattr(problem, 'reason', problem)
            kept = '; what has arrived is kept' if _size(part) else ''
            raise DownloadError(f'{url} cannot be fetched ({reason}){kept}. {_by_hand(path)}') from problem
        time.sleep(_PAUSE)


def _by_hand(path: Path) -> str:
    return (
        f'Without a connection, put the file at {path} by hand, or name a mirror in MMSSL_MIRROR '
        '(it replaces scheme and host).'
    )


def _fetch_once(url: str, part: Path, timeout: float) -> bool:
    """Make one request; return whether the file is complete."""
    done, version = _size(part), _version_of(part, url)
    if done and not version:  # the server's file may have changed, and nothing would tell
        part.unlink()
        done = 0
    headers = {'Range': f'bytes={done}-', 'If-Range': version} if done else {}
    try:
        response = urlopen(Request(url, headers=headers), timeout=timeout)
    except HTTPError as error:
        if error.code != 416:
            raise
        part.unlink()  # longer than the server's file, so from another version
        return False
    with response:
        headers, resumed = response.headers, response.status == 206
        sent = headers.get('ETag') or headers.get('Last-Modified') or ''
        if resumed and (sent != version or not headers.get('Content-Range', '').startswith(f'bytes {done}-')):
            part.unlink()  # the server ignored If-Range, or sends another range
            return False
        done = done if resumed else 0
        _note(part).write_text(json.dumps({'url': url, 'version': '' if sent.startswith('W/') else sent}))
        length = headers.get('Content-Length')
        return _save(response, part, done, None if length is None else done + int(length))


def _save(response: BinaryIO, part: Path, done: int, total: int | None) -> bool:
    """Write what follows the first ``done`` bytes; return whether all of it arrived."""
    if total is not None and shutil.disk_usage(part.parent).free < total - done:
        raise OSError(errno.ENOSPC, f'{(total - done) / 1e6:.0f} MB are needed')
    with part.open('ab') as file, Progress(part.stem, total or 0, in_bytes=True) as progress:
        file.truncate(done)
        progress.advance(done)
        while block := response.read(_BLOCK):
            file.write(block)
            progress.advance(len(block))
        file.flush()
        os.fsync(file.fileno())
    return total is None or _size(part) == total


def _version_of(part: Path, url: str) -> str:
    """Server's version of a partial file; '' if unknown."""
    try:
        note = json.loads(_note(part).read_text())
    except (OSError, ValueError):
        return ''
    return note['version'] if note['url'] == url else ''


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _disk_error(error: OSError, part: Path) -> DownloadError:
    place = f'{part.parent} cannot be written ({error.strerror or error})'
    return DownloadError(f'{place}: free some space or set MMSSL_CACHE to another folder; what has arrived is kept.')
