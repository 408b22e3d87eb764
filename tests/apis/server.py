"""A real HTTP server on the loopback address that can be told to misbehave."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer(ThreadingHTTPServer):
    """Serves ``content`` under every path.

    Attributes:
        content: The file.
        cuts: After how many bytes each of the next answers breaks off; none left: whole answers.
        ranges: Whether it answers ``Range``, as servers of weights do.
        version: Its ETag; '' for none.
        careless: Whether it answers ``Range`` without looking at ``If-Range``.
        status: Answer with this error instead, 200 for none.
        requests: Path and ``Range`` of each request so far.
    """

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(('127.0.0.1', 0), _Handler)
        self.content, self.cuts, self.ranges, self.version, self.careless, self.status = (
            content,
            [],
            True,
            '"one"',
            False,
            200,
        )
        self.requests: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f'http://127.0.0.1:{self.server_port}'


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get('Range')
        server.requests.append((self.path, wanted))
        if server.status != 200:
            return self.send_error(server.status)
        start = self._start(wanted)
        if start is not None and start >= len(server.content):
            return self.send_error(416)
        self.send_response(200 if start is None else 206)
        body = server.content[start or 0 :]
        self.send_header('Content-Length', str(len(body)))
        if start is not None:
            self.send_header('Content-Range', f'bytes {start}-{len(server.content) - 1}/{len(server.content)}')
        if server.version:
            self.send_header('ETag', server.version)
        self.end_headers()
        self.wfile.write(body[: server.cuts.pop(0)] if server.cuts else body)

    def _start(self, wanted: str | None) -> int | None:
        fits = self.server.careless or self.headers.get('If-Range') in (None, self.server.version)
        return int(wanted[len('bytes=') : -1]) if wanted and self.server.ranges and fits else None

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(content: bytes) -> Iterator[FileServer]:
    """A server in a thread, as long as the block runs."""
    with FileServer(content) as server:
        threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01}, daemon=True).start()
        yield server
        server.shutdown()
