"""Download from bad servers: each must end with the whole file or with one sentence, in bounded time and space.

    python tools/benchmarks/reliability/downloads.py

The servers are on this machine. In the short form, which the tests run, time-outs are shorter and answers without
an end are cut at 4 MB.
"""

import argparse
import hashlib
import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import mmssl.download as module
from mmssl.download import DownloadError, download

CONTENT = random.Random(0).randbytes(200_000)
CHECKSUM = f'sha256:{hashlib.sha256(CONTENT).hexdigest()}'
WHOLE = ''  # of a kind whose file must arrive
LONGEST = 600  # letters of a sentence


class Asked(NamedTuple):
    """A request: its number at this server, the place that it wants to continue from, and the server's port."""

    number: int
    start: int
    port: int


Answers = Callable[[socket.socket, Asked], None]


class Kind(NamedTuple):
    """A bad server, and words of the sentence that its user must read; ``WHOLE`` if the file must arrive."""

    answer: Answers
    words: str


class Outcome(NamedTuple):
    """What came of a download.

    Attributes:
        kind: Name of the server.
        said: The sentence; ``WHOLE`` if the file arrived.
        seconds: How long it took.
        fault: What is wrong with it; empty if nothing is.
    """

    kind: str
    said: str
    seconds: float
    fault: str


def head(*lines: str, status: str = '200 OK', length: int | str | None = len(CONTENT), etag: str = '"1"') -> bytes:
    """The head of an answer."""
    stated = [] if length is None else [f'Content-Length: {length}']
    tag = [f'ETag: {etag}'] if etag else []
    return '\r\n'.join([f'HTTP/1.1 {status}', *stated, *tag, *lines, '', '']).encode('latin-1')


def sends(*parts: bytes) -> Answers:
    """Always the same answer."""
    return lambda link, _: link.sendall(b''.join(parts))


def status(line: str, *lines: str) -> Answers:
    """An answer without a body."""
    return sends(head(*lines, status=line, length=0))


def leads_to(place: str) -> Answers:
    """A redirect; ``{port}`` in the place is the server's own."""

    def answer(link: socket.socket, asked: Asked) -> None:
        link.sendall(head(f'Location: {place.format(port=asked.port)}', status='302 Found', length=0))

    return answer


def endless(first: bytes, again: bytes, pause: float = 0.0) -> Answers:
    """An answer that never ends."""

    def answer(link: socket.socket, _: Asked) -> None:
        link.sendall(first)
        while True:
            link.sendall(again)
            time.sleep(pause)

    return answer


def ranged(
    link: socket.socket, asked: Asked, end: int | None = None, etag: str = '"1"', says: int | None = None
) -> None:
    """The answer of a good server, unless told otherwise: up to ``end``, and stating ``says`` as its start."""
    place = f'bytes {asked.start if says is None else says}-{len(CONTENT) - 1}/{len(CONTENT)}'
    state, more = ('206 Partial Content', [f'Content-Range: {place}']) if asked.start else ('200 OK', [])
    link.sendall(head(*more, status=state, length=len(CONTENT) - asked.start, etag=etag) + CONTENT[asked.start : end])


def cut_often(link: socket.socket, asked: Asked) -> None:
    """50,000 bytes at a time."""
    ranged(link, asked, asked.start + 50_000)


def cut_at_once(link: socket.socket, asked: Asked) -> None:
    """Ten bytes at a time."""
    ranged(link, asked, asked.start + 10)


def other_version(link: socket.socket, asked: Asked) -> None:
    """A cut, and then the rest of another version."""
    ranged(link, asked, None if asked.number > 1 else 50_000, f'"{asked.number}"' if asked.number < 3 else '"2"')


def other_range(link: socket.socket, asked: Asked) -> None:
    """A cut, and then a range that was not asked for."""
    ranged(link, asked, None if asked.number > 1 else 50_000, says=7)


def never_again(link: socket.socket, asked: Asked) -> None:
    """A cut, and then 416 for ever."""
    if asked.number == 1:
        ranged(link, asked, 50_000)
    else:
        link.sendall(head(status='416 Range Not Satisfiable', length=0))


def range_unasked(link: socket.socket, _: Asked) -> None:
    """206 for a whole file."""
    link.sendall(head('Content-Range: bytes 5-9/10', status='206 Partial Content', length=5) + b'12345')


def busy_first(link: socket.socket, asked: Asked) -> None:
    """503 twice, then the file."""
    ranged(link, asked) if asked.number > 2 else link.sendall(head(status='503 Busy', length=0))


def silent(link: socket.socket, _: Asked) -> None:
    """No answer at all."""
    with suppress(OSError):
        link.settimeout(60)
        link.recv(1)


def reset(link: socket.socket, _: Asked) -> None:
    """A connection that is reset."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\x01\0\0\0\0\0\0\0')


CHUNKED = head('Transfer-Encoding: chunked', length=None)
KINDS = {
    'a good one': Kind(ranged, WHOLE),
    'cut often': Kind(cut_often, WHOLE),
    'busy twice': Kind(busy_first, WHOLE),
    'without a length': Kind(sends(head(length=None), CONTENT), WHOLE),
    'in chunks': Kind(sends(CHUNKED, b'%x\r\n' % len(CONTENT), CONTENT, b'\r\n0\r\n\r\n'), WHOLE),
    'another version in between': Kind(other_version, WHOLE),
    'cut after ten bytes, always': Kind(cut_at_once, 'connection was cut'),
    'another range': Kind(other_range, WHOLE),
    'a range that nobody asked for': Kind(range_unasked, 'another part of the file'),
    '416 for ever': Kind(status('416 Range Not Satisfiable'), 'answers 416'),
    '416 to every request after a cut': Kind(never_again, 'answers 416'),
    '404': Kind(status('404 Not Found'), 'answers 404'),
    '403 with a reason of control characters': Kind(status('403 \x1b[2J\x07no'), 'answers 403'),
    '500 for ever': Kind(status('500 Broken'), 'cannot be fetched'),
    '204': Kind(sends(head(status='204 No Content', length=None)), 'status 204'),
    'another file': Kind(sends(head(length=5), b'<html'), 'instead of'),
    'a page that asks for a login': Kind(
        sends(head('Content-Type: text/html', length=None), b'<html>' * 9), 'instead of'
    ),
    'compressed': Kind(sends(head('Content-Encoding: gzip', length=5), b'\x1f\x8b123'), 'gzip'),
    'a length that is a word': Kind(sends(head(length='abc'), CONTENT), "Content-Length of 'abc'"),
    'a negative length': Kind(sends(head(length=-5), CONTENT), "Content-Length of '-5'"),
    'a length of exabytes': Kind(sends(head(length=10**18), CONTENT), 'more than'),
    'a length of 40 digits': Kind(sends(head(length='9' * 40), CONTENT), 'Content-Length'),
    'a length that is too small': Kind(sends(head(length=1000), CONTENT), 'instead of'),
    'a length that is too large': Kind(sends(head(length=len(CONTENT) + 9, etag=''), CONTENT), 'connection was cut'),
    'no HTTP': Kind(sends(b'SSH-2.0-OpenSSH_9.6\r\n'), 'cannot be fetched'),
    'nothing': Kind(sends(b''), 'cannot be fetched'),
    'a reset': Kind(reset, 'cannot be fetched'),
    'silence': Kind(silent, 'timed out'),
    'bad chunks': Kind(sends(CHUNKED, b'zz\r\n'), 'cannot be fetched'),
    'a body without an end': Kind(endless(head(length=None), bytes(1 << 16)), 'sends more than'),
    'chunks without an end': Kind(endless(CHUNKED, b'10000\r\n' + bytes(1 << 16) + b'\r\n'), 'sends more than'),
    'a body that crawls': Kind(endless(head(), b'x', 0.05), 'less than 1 kB per second'),
    'a head that crawls': Kind(endless(b'HTTP/1.1 200 OK\r\nA: ', b'x', 0.05), 'less than 1 kB per second'),
    'headers without an end': Kind(endless(b'HTTP/1.1 200 OK\r\n', b'A: b\r\n'), 'cannot be fetched'),
    'a header without an end': Kind(endless(b'HTTP/1.1 200 OK\r\nA: ', b'x' * 999), 'cannot be fetched'),
    '100 for ever': Kind(endless(b'', b'HTTP/1.1 100 Continue\r\n\r\n', 0.001), 'less than 1 kB per second'),
    'trailers without an end': Kind(endless(CHUNKED + b'0\r\n', b'A: b\r\n', 0.001), 'less than 1 kB per second'),
    'a redirect in a circle': Kind(leads_to('http://127.0.0.1:{port}/file'), 'answers 302'),
    'a redirect to no address': Kind(leads_to('http://[:/'), 'cannot be fetched'),
    'a redirect to a file': Kind(leads_to('file:///etc/hostname'), 'not allowed'),
    'a redirect whose body has no end': Kind(
        endless(head('Location: /file', status='302 Found', length=None), bytes(1 << 16)), 'answers 302'
    ),
}
ADDRESSES = (
    'http://',
    'file',
    '',
    'http://a b/c',
    'http://127.0.0.1:port/a',
    'http://127.0.0.1:99999/a',
    'http://[::1/a',
    'http://a..b/c',
    'ftp://a/b',
    'file:///etc/hostname',
    'http://a/\r\nHost: b',
    'http://a/é',
)


@contextmanager
def serving(answer: Answers) -> Iterator[int]:
    """A server, as long as the block runs; its port."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
        threading.Thread(target=_serve, args=(listener, port, answer), daemon=True).start()
        yield port
        listener.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket, port: int, answer: Answers) -> None:
    number = 0
    with suppress(OSError):  # the listener is closed
        while True:
            link, _ = listener.accept()
            number += 1
            threading.Thread(target=_answer, args=(link, number, port, answer), daemon=True).start()


def _answer(link: socket.socket, number: int, port: int, answer: Answers) -> None:
    with link, suppress(OSError):  # the client has gone
        wanted = link.recv(1 << 16).lower().partition(b'range: bytes=')[2].partition(b'-')[0]
        answer(link, Asked(number, int(wanted or 0), port))


def fetched(url: str, folder: Path, timeout: float) -> tuple[str, str]:
    """Download; return what is said, or ``WHOLE``, and what is wrong with that."""
    try:
        path = download(url, folder / 'file', CHECKSUM, timeout=timeout, tries=3, mirror=False)
    except (DownloadError, ValueError) as error:
        return str(error), ''
    except Exception as error:
        return repr(error), 'no sentence'
    return WHOLE, '' if path.read_bytes() == CONTENT else 'another file was taken for it'


def judged(name: str, url: str, words: str, timeout: float, most: float) -> Outcome:
    """Download from a bad server, and say what is wrong with what came of it.

    Args:
        name: Name of the server.
        url: Its address.
        words: What must be said.
        timeout: Seconds without an answer.
        most: Maximum number of seconds.
    """
    start = time.monotonic()
    ends: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        thread = threading.Thread(target=lambda: ends.append(fetched(url, Path(place), timeout)), daemon=True)
        thread.start()
        thread.join(most)
        left = sum(file.stat().st_size for file in Path(place).iterdir() if file.name != 'file')
    seconds = time.monotonic() - start
    if not ends:
        return Outcome(name, '', seconds, f'it took more than {most} seconds')
    said, fault = ends[0]
    faults = {
        fault: bool(fault),
        f'it should say {words!r}': (words not in said) if words else bool(said),
        'it is no sentence': '\n' in said or len(said) > LONGEST or not f'{said} '.isprintable(),
        f'{left} bytes are left': left > 2 * len(CONTENT),
    }
    return Outcome(name, said, seconds, '; '.join(fault for fault, found in faults.items() if found))


def campaign(timeout: float, pause: float, largest: int, most: float) -> Iterator[Outcome]:
    """Download from every bad server and every malformed address.

    Args:
        timeout: Seconds without an answer after which a try fails.
        pause: Seconds between tries.
        largest: Maximum number of bytes of a file.
        most: Maximum number of seconds of one download.
    """
    with mock.patch.multiple(module, _PAUSE=pause, _LARGEST=largest):
        for name, kind in KINDS.items():
            with serving(kind.answer) as port:
                yield judged(name, f'http://127.0.0.1:{port}/file', kind.words, timeout, most)
        for url in ADDRESSES:
            yield judged(f'the address {url!r}', url, 'is not an address', timeout, most)


SHORT = {'timeout': 0.3, 'pause': 0.0, 'largest': 4_000_000, 'most': 10.0}
LONG = {'timeout': 10.0, 'pause': 1.0, 'largest': 1 << 30, 'most': 120.0}


def main() -> None:
    """Run the campaign, print each outcome, and fail if one is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--short', action='store_true', help='the form that the tests run, half a minute')
    args = parser.parse_args()
    outcomes = []
    for outcome in campaign(**(SHORT if args.short else LONG)):
        outcomes.append(outcome)
        print(
            f'{outcome.fault or "ok"}: {outcome.kind} ({outcome.seconds:.1f} s): {outcome.said or "whole"}', flush=True
        )
    wrong = sum(bool(outcome.fault) for outcome in outcomes)
    print(f'{len(outcomes)} downloads, {wrong} ended otherwise than they should.')
    raise SystemExit(bool(wrong))


if __name__ == '__main__':
    main()
