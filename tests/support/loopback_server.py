"""The one HTTP server on loopback that all small servers of the tests are made of."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import ClassVar, Self


class Exchange(BaseHTTPRequestHandler):
    """One request and its answer; prints nothing, because paths and headers hold secrets."""

    server: _Server
    timeout = 30

    def setup(self) -> None:
        self.protocol_version = self.server.owner.HTTP_VERSION
        super().setup()

    def do_GET(self) -> None:
        self.server.owner.serve(self)

    do_POST = do_PUT = do_HEAD = do_CONNECT = do_GET  # noqa: N815  the names are those of http.server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the base class's
        """Print nothing."""

    def lowered(self) -> dict[str, str]:
        """Return the headers of the request, by name in lower case."""
        return {name.lower(): value for name, value in self.headers.items()}

    def body(self) -> bytes:
        """Return the body of the request, sent as a whole or in chunks."""
        if "Transfer-Encoding" not in self.headers:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer(self, status: int, content: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Send the whole answer: the headers, its length, and the content where the request wants one."""
        headers = headers or {}
        # Otherwise there would be the time of this machine as well.
        (self.send_response_only if "Date" in headers else self.send_response)(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, owner: LoopbackServer) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), Exchange)

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client that went away did nothing wrong
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # handed on as it came


class LoopbackServer:
    """Serves HTTP on a free port of 127.0.0.1, each request on a thread of its own; a context manager.

    A server of the tests derives from it and says in `serve` how a request is answered.
    """

    HTTP_VERSION: ClassVar[str] = "HTTP/1.0"

    def __init__(self) -> None:
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name=type(self).__name__, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.server_port

    @property
    def url(self) -> str:
        """Where it is, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def serve(self, exchange: Exchange) -> None:
        """Answer one request; runs on several threads."""
        raise NotImplementedError
