"""Download files atomically, once for all processes: resumed after interruptions, limited, and checked.

A server is not trusted: its headers may be wrong, and its answer may crawl, never end, or lead to another address.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from email.message import Message
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from mmssl.files import file_lock
from mmssl.progress import Progress
from mmssl.words import one_line

_BLOCK = 1 << 18
_TIMEOUT = 30  # seconds without an answer
_TRIES = 4  # consecutive ones that bring nothing new
_PAUSE = 1.0  # seconds before another try
_NEWS = 1 << 15  # bytes that a try has to bring to count as one that brings something new
_SLOWEST = 1000  # bytes per second, on average over the time-out
_LARGEST = 64 << 30  # bytes of a file
_SPARE = 1 << 28  # bytes of the disk that stay free if the server does not say how long its file is
_AGAIN = (408, 425, 429)  # and all from 500 on: errors that may pass
_NO_ADDRESS = re.compile(r'[\x00-\x20\x7f-\U0010ffff]')  # what an address may hold only in its %-encoded form


class DownloadError(OSError):
    """A file could not be downloaded; the message says what to do."""


class _TooLongError(DownloadError):
    """An answer is longer than any file that was asked for."""


class _Watch(threading.Thread):
    """Cut a connection that brings fewer than ``_SLOWEST`` bytes per second.

    A time-out of the socket starts anew with each byte, and headers, chunks and trailers may come byte by byte.

    Attributes:
        received: Number of bytes so far.
        crawled: Whether the connection was cut.
        ended: Set when all has been read.
    """

    def __init__(self, timeout: float) -> None:
        super().__init__(daemon=True)
        self.timeout, self.received, self.crawled = timeout, 0, False
        self.socket: socket.socket | None = None
        self.ended = threading.Event()

    def run(self) -> None:
        """Look once per time-out, first after two: a server may take one to answer."""
        before, pause = 0, 2 * self.timeout
        while not self.ended.wait(pause):
            if self.received - before < _SLOWEST * self.timeout and self.socket:
                self.crawled = True
                with suppress(OSError):
                    socket.socket.shutdown(self.socket, socket.SHUT_RDWR)  # of TLS too, without its farewell
                return
            before, pause = self.received, self.timeout


class _Answer(NamedTuple):
    """Answer of a server, and what watches it."""

    url: str
    response: HTTPResponse
    watch: _Watch

    def blocks(self, largest: int) -> Iterator[bytes]:
        """Read the body block by block.

        Raises:
            DownloadError: There are more than ``largest`` bytes.
            ConnectionError: There are fewer than the server stated.
        """
        while block := self.response.read1(_BLOCK):  # read() would wait for a whole block, however slowly it comes
            self.watch.received += len(block)
            if self.watch.received > largest:
                raise _TooLongError(
                    f'{self.url} sends more than {largest:,} bytes, the maximum for such a file on this disk: give '
                    'another address, or free some space.'
                )
            yield block
        if self.watch.crawled or self.response.length:
            raise ConnectionError('the connection was cut')


@contextmanager
def _answer(url: str, headers: Mapping[str, str], timeout: float) -> Iterator[_Answer]:
    """Ask a server; all that is raised is an ``OSError``, an ``HTTPException`` or a ``ValueError``."""
    watch = _Watch(timeout)
    watch.start()
    try:
        with build_opener(_Redirects, _Watched(watch)).open(
            Request(url, headers=dict(headers)), timeout=timeout
        ) as got:
            yield _Answer(url, got, watch)
    except (HTTPException, OSError, ValueError) as error:
        if watch.crawled and not isinstance(error, DownloadError):
            raise TimeoutError(f'it sends less than {_SLOWEST / 1000:g} kB per second') from error
        raise
    finally:
        watch.ended.set()


class _Redirects(HTTPRedirectHandler):
    """Follow redirects within http and https, but none that leaves https."""

    def redirect_request(
        self, req: Request, fp: Any, code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """Build the next request, or refuse it."""
        fp.close()  # urllib would read the body first, however long it is
        before, after = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if after != before and after != 'https':
            raise DownloadError(
                f'{req.full_url} redirects from {before} to {one_line(newurl)}, which is not safe: use another address.'
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Watched(HTTPHandler, HTTPSHandler):
    """Tell a watch which socket it watches."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self.watch = watch

    def http_open(self, req: Request) -> HTTPResponse:
        """Open an address of http."""
        return self.do_open(partial(self._connection, HTTPConnection), req)

    def https_open(self, req: Request) -> HTTPResponse:
        """Open an address of https."""
        return self.do_open(partial(self._connection, HTTPSConnection), req)

    def _connection(self, kind: type[HTTPConnection], host: str, **options: Any) -> HTTPConnection:
        watch = self.watch

        class Connection(kind):  # type: ignore[misc,valid-type]
            def connect(self) -> None:
                super().connect()
                watch.socket = self.sock

        return Connection(host, **options)


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
        DownloadError: The address is malformed, the server cannot be reached, has no such file or sends something else,
            or the disk is full.
        ValueError: The file does not match the checksum; it was removed.
    """
    path = Path(path)
    with _on_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(path.with_name(f'{path.name}.lock')):
        if not path.exists():
            part = path.with_name(f'{path.name}.part')
            _fetch(mirrored(url) if mirror else url, part, path, timeout, tries)
            check(part, checksum, url)
            with _on_disk(path):
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


def read_url(url: str, timeout: float, largest: int) -> bytes:
    """Read a small file from a server.

    Args:
        url: Its address.
        timeout: Seconds without an answer after which the try fails.
        largest: Maximum number of bytes.

    Raises:
        DownloadError: The address is malformed, the server cannot be reached or has no such file, or the answer is too
            long.
    """
    _check_address(url)
    try:
        with _answer(url, {}, timeout) as answer:
            return b''.join(answer.blocks(largest))
    except (URLError, HTTPException, OSError, ValueError) as error:
        raise error if isinstance(error, DownloadError) else DownloadError(_reason(error)) from error


def _check_address(url: str) -> None:
    """Raise ``DownloadError`` unless the address is one of http or https."""
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ('http', 'https') and parts.hostname and (parts.port is None or parts.port > 0)
        if whole and not _NO_ADDRESS.search(url):
            str(parts.hostname).encode('idna')
            return
    except ValueError:
        pass
    raise DownloadError(
        f'{one_line(url)!r} is not an address: give one like https://HOST/FILE (MMSSL_MIRROR, if set, too).'
    )


def _reason(problem: Exception) -> str:
    return one_line(getattr(problem, 'reason', problem)) or type(problem).__name__


def _note(part: Path) -> Path:
    """Path of the note about a partial file's address and version."""
    return part.with_name(f'{part.name}.json')


def _fetch(url: str, part: Path, path: Path, timeout: float, tries: int) -> None:
    """Fill ``part`` with the whole file; continue after interruptions."""
    _check_address(url)
    failed, most = 0, _size(part)
    while True:
        try:
            return _fetch_once(url, part, timeout)
        except DownloadError:
            raise
        except HTTPError as error:
            if error.code < 500 and error.code not in _AGAIN:
                raise DownloadError(f'{url} answers {error.code} ({_reason(error)}). {_by_hand(path)}') from error
            problem: Exception = error
        except (HTTPException, OSError, ValueError) as error:  # ValueError: what is no address, behind a redirect
            problem = error
        failed, most = (0, _size(part)) if _size(part) - most >= _NEWS else (failed + 1, most)
        if failed == tries:
            kept = '; what has arrived is kept' if _size(part) else ''
            raise DownloadError(f'{url} cannot be fetched ({_reason(problem)}){kept}. {_by_hand(path)}') from problem
        time.sleep(_PAUSE)


def _by_hand(path: Path) -> str:
    return (
        f'Without a connection, put the file at {path} by hand, or name a mirror in MMSSL_MIRROR '
        '(it replaces scheme and host).'
    )


def _fetch_once(url: str, part: Path, timeout: float) -> None:
    """Make one request.

    Raises:
        OSError: The answer is not what was asked for, or not all of it arrived.
    """
    done, version = _size(part), _version_of(part, url)
    if done and not version:  # the server's file may have changed, and nothing would tell
        _remove(part)
        done = 0
    headers = {'Range': f'bytes={done}-', 'If-Range': version} if done else {}
    try:
        with _answer(url, headers, timeout) as answer:
            _receive(answer, part, done, version)
    except HTTPError as error:
        if error.code != 416 or not done:
            raise
        _remove(part)  # longer than the server's file, so from another version
        raise ConnectionError('the file has changed') from error


def _receive(answer: _Answer, part: Path, done: int, version: str) -> None:
    """Write an answer to ``part``, behind the first ``done`` bytes if it continues them."""
    url, status, headers = answer.url, answer.response.status, answer.response.headers
    resumed = status == 206
    if status not in (200, 206) or headers.get('Content-Encoding', 'identity').lower() != 'identity':
        coded = f', {one_line(headers["Content-Encoding"])}' if headers.get('Content-Encoding') else ''
        raise DownloadError(f'{url} does not answer with a file (status {status}{coded}): try another network.')
    length, sent = _length(headers, url), headers.get('ETag') or headers.get('Last-Modified') or ''
    if resumed and (sent != version or not headers.get('Content-Range', '').startswith(f'bytes {done}-')):
        _remove(part)  # the server ignored If-Range, or sends another range
        raise ConnectionError('the server sends another part of the file than it was asked for')
    done = done if resumed else 0
    with _on_disk(part):
        _note(part).write_text(json.dumps({'url': url, 'version': '' if sent.startswith('W/') else sent}))
    _save(answer, part, done, None if length is None else done + length)


def _length(headers: Message, url: str) -> int | None:
    """The length that the server states; None if it states none."""
    text = headers.get('Content-Length')
    if text is None or headers.get('Transfer-Encoding'):
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise DownloadError(f'{url} states a Content-Length of {one_line(text)!r}: try again, or from another network.')
    return int(text)


def _save(answer: _Answer, part: Path, done: int, total: int | None) -> None:
    """Write what follows the first ``done`` bytes; raise if not all of it arrived."""
    largest = _room(part, answer.url, done, total)
    try:
        with _appended(part) as file, Progress(part.stem, total or 0, in_bytes=True) as progress:
            with _on_disk(part):
                file.truncate(done)
            progress.advance(done)
            for block in answer.blocks(largest):
                with _on_disk(part):
                    file.write(block)
                progress.advance(len(block))
    except _TooLongError:
        _remove(part)
        raise


def _room(part: Path, url: str, done: int, total: int | None) -> int:
    """Number of bytes that may still come.

    Raises:
        DownloadError: The file is too large, for this disk or at all.
    """
    free = shutil.disk_usage(part.parent).free
    if total is None:
        return max(0, min(_LARGEST, free - _SPARE))
    if total > _LARGEST:
        raise DownloadError(f'{url} states a length of {total:,} bytes, more than {_LARGEST:,}: give another address.')
    if free < total - done:
        raise _disk_error(OSError(errno.ENOSPC, f'{(total - done) / 1e6:.0f} MB are needed'), part)
    return total - done


@contextmanager
def _appended(part: Path) -> Iterator[BinaryIO]:
    """Open a partial file to append to it, and flush it to the disk, also after an error."""
    with _on_disk(part):
        file = part.open('ab')
    try:
        yield file
    finally:
        with _on_disk(part), file:
            file.flush()
            os.fsync(file.fileno())


def _version_of(part: Path, url: str) -> str:
    """Server's version of a partial file; '' if unknown."""
    try:
        note = json.loads(_note(part).read_text())
        return str(note['version']) if note['url'] == url else ''
    except (OSError, ValueError, KeyError, TypeError):
        return ''


def _remove(part: Path) -> None:
    with _on_disk(part):
        part.unlink(missing_ok=True)


@contextmanager
def _on_disk(part: Path) -> Iterator[None]:
    """Tell errors of the disk from those of the connection, which are ``OSError`` too."""
    try:
        yield
    except OSError as error:
        raise _disk_error(error, part) from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _disk_error(error: OSError, part: Path) -> DownloadError:
    place = f'{part.parent} cannot be written ({error.strerror or error})'
    return DownloadError(f'{place}: free some space or set MMSSL_CACHE to another folder; what has arrived is kept.')
