"""HTTP on loopback: reads a request, gets the response and writes it, or drops the connection for a test."""

from __future__ import annotations

import http.server
import json
import socketserver
import sys
import threading
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from attrs import Factory, field, frozen


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MAX_BYTES: Final = 65536
_POLL_INTERVAL: Final = 0.02
_BACKLOG: Final = 256
_CLIENT_TIMEOUT: Final = 30


@frozen(kw_only=True)
class Asked:
    """The parts of one request that the authorization server uses.

    Attributes:
        method: HTTP method.
        path: The path without the query.
        query: Decoded name and value pairs.
        headers: Header fields, with lower-case names.
        body: The body.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@frozen(kw_only=True)
class Answer:
    """One response; if `broken`, the connection is closed without writing it."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = Factory(dict)
    broken: bool = False


def json_answer(value: Mapping[str, object], status: int = 200) -> Answer:
    """Return a JSON response that must not be cached (RFC 6749, section 5.1)."""
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Answer(status=status, body=json.dumps(value).encode(), headers=headers)


def page(body: str, status: int = 200) -> Answer:
    """Return a small HTML page; `body` is markup."""
    text = f"<!doctype html><meta charset=utf-8><title>freshkey test server</title><body>{body}</body>\n"
    return Answer(status=status, body=text.encode(), headers={"Content-Type": "text/html; charset=utf-8"})


class Listener(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Listens on an ephemeral port of 127.0.0.1 and handles each request on its own thread.

    Args:
        answer: Returns the response to a request; called on several threads.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = _BACKLOG

    def __init__(self, answer: Callable[[Asked], Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.failures: list[BaseException] = []
        self._thread = threading.Thread(
            target=self.serve_forever, args=(_POLL_INTERVAL,), name="test authorization server", daemon=True
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Start accepting connections."""
        self._thread.start()

    def stop(self) -> None:
        """Stop accepting connections and free the port."""
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002  signature of the base class
        """Keep the exception for the end of the test; a client that disconnects is not a failure."""
        error = sys.exception()
        if error is not None and not isinstance(error, ConnectionError):
            self.failures.append(error)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Listener
    protocol_version = "HTTP/1.1"
    timeout = _CLIENT_TIMEOUT

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  name in the base class
        """Print nothing: query strings contain codes."""

    def _serve(self) -> None:
        self.close_connection = True
        answer = self.server.answer(self._asked())
        if not answer.broken:
            self._write(answer)

    def _asked(self) -> Asked:
        address = urlsplit(self.path)
        length = min(int(self.headers.get("Content-Length") or 0), _MAX_BYTES)
        return Asked(
            method=self.command,
            path=address.path,
            query=tuple(parse_qsl(address.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length),
        )

    def _write(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in {"Connection": "close", "Content-Length": len(answer.body), **answer.headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(answer.body)
