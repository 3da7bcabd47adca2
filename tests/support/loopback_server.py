"""The HTTP server on loopback that all small test servers are based on."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import ClassVar, Self


class Exchange(BaseHTTPRequestHandler):
    """One request and its response; prints nothing, because paths and headers contain secrets."""

    server: _Server
    timeout = 30

    def setup(self) -> None:
        self.protocol_version = self.server.owner.HTTP_VERSION
        super().setup()

    def do_GET(self) -> None:
        self.server.owner.serve(self)

    do_POST = do_PUT = do_HEAD = do_CONNECT = do_GET  # noqa: N815  names from http.server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  name in the base class
        """Print nothing."""

    def lowered(self) -> dict[str, str]:
        """Return the headers of the request, with lower-case names."""
        return {name.lower(): value for name, value in self.headers.items()}

    def body(self) -> bytes:
        """Return the body of the request, which may be chunked."""
        if "Transfer-Encoding" not in self.headers:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer(self, status: int, content: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Send the complete response: headers, Content-Length, and the content except for HEAD."""
        headers = headers or {}
        # Otherwise the base class would also add this machine's time.
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
        if not isinstance(sys.exception(), ConnectionError):  # a client that disconnects is not an error
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # passed through unchanged


class LoopbackServer:
    """Serves HTTP on a free port of 127.0.0.1, each request on its own thread; a context manager.

    Test servers derive from it and implement `serve`.
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
        """The port it listens on."""
        return self._server.server_port

    @property
    def url(self) -> str:
        """The server's URL, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def serve(self, exchange: Exchange) -> None:
        """Respond to one request; called on several threads."""
        raise NotImplementedError
