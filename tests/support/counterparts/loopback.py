"""A listener for one loopback redirect, so that counterparts can be tried without any code of freshkey."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit


class RedirectListener:
    """Listens on a free port of 127.0.0.1 and keeps what the first redirect to `/callback` brought."""

    def __init__(self) -> None:
        self._arrived = threading.Event()
        self._query: dict[str, str] = {}
        self._server = HTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

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
    def redirect_uri(self) -> str:
        """The address to ask the authorization server to redirect to."""
        return f"http://127.0.0.1:{self._server.server_port}/callback"

    def wait(self, seconds: float = 20) -> dict[str, str]:
        """Return the redirect's query once it has arrived."""
        assert self._arrived.wait(seconds), f"no redirect arrived within {seconds} s"
        return self._query

    def _arrive(self, target: str) -> None:
        if urlsplit(target).path == "/callback":
            self._query = dict(parse_qsl(urlsplit(target).query))
            self._arrived.set()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        arrive = self._arrive

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = b"<title>Signed in</title><p>You can close this page."
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                arrive(self.path)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
                """Keep the authorization code out of the test's output."""

        return Handler
