"""A Messages API on loopback: answers those whom the authorization server vouches for, and records every request."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx
from attrs import field, frozen

from freshkey_testing import AuthorizationServer


ANSWER: Final = "Good morning from loopback"
OAUTH_BETA: Final = "oauth-2025-04-20"


@frozen(kw_only=True)
class Asked:
    """One request to the API, and how it was answered.

    Attributes:
        method: HTTP method.
        path: Without the query.
        headers: Lower-case names.
        status: What was answered.
    """

    method: str
    path: str
    headers: dict[str, str] = field(repr=False)
    status: int


class MessagesApi(ThreadingHTTPServer):
    """``POST /v1/messages``, streamed or not, for live access tokens and for keys; a context manager.

    A bearer token is honoured while the authorization server's protected resource honours it: that server is asked for
    each request. Any other is answered 401 in the vendor's error envelope.

    Args:
        authority: The authorization server.
        keys: API keys, honoured as ``x-api-key`` and as bearer tokens.
        wants_beta: Refuse an OAuth token that comes without the header that announces it, as was observed at times.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, authority: AuthorizationServer, *, keys: Collection[str] = (), wants_beta: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._authority = authority
        self._keys = frozenset(keys)
        self._wants_beta = wants_beta
        self._client = httpx.Client(trust_env=False, timeout=20)
        self._requests: list[Asked] = []
        self._disturbances: list[Callable[[], object]] = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="messages api", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()
        self._client.close()

    @property
    def url(self) -> str:
        """What clients call the base URL."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def messages(self) -> list[Asked]:
        """The requests for messages so far, oldest first. Their headers hold secrets: for checks, not for output."""
        with self._lock:
            return [asked for asked in self._requests if asked.path == "/v1/messages"]

    @property
    def statuses(self) -> list[int]:
        """How requests for messages were answered so far."""
        return [asked.status for asked in self.messages]

    def just_before_the_next(self, disturb: Callable[[], object]) -> None:
        """Call this when the next request for a message has arrived, before its credential is looked at."""
        with self._lock:
            self._disturbances.append(disturb)

    def judge(self, headers: dict[str, str]) -> str | None:
        """Return why a request for a message is not authorised; None if it is."""
        with self._lock:
            disturbances, self._disturbances = self._disturbances, []
        for disturb in disturbances:
            disturb()
        return self.flaw(headers)

    def record(self, asked: Asked) -> None:
        """Keep a request for the test."""
        with self._lock:
            self._requests.append(asked)

    def flaw(self, headers: dict[str, str]) -> str | None:
        """Return why a request is not authorised, in words that were observed; None if it is."""
        key = headers.get("x-api-key")
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if key in self._keys or (scheme == "Bearer" and token in self._keys):
            return None
        if scheme != "Bearer" or not self._vouched_for(token):
            return "invalid x-api-key" if key else "OAuth token has expired. Please obtain a new token"
        betas = [beta.strip() for beta in headers.get("anthropic-beta", "").split(",")]
        announced = OAUTH_BETA in betas or not self._wants_beta
        return None if announced else "OAuth authentication is currently not supported."

    def _vouched_for(self, token: str) -> bool:
        shown = {"Authorization": f"Bearer {token}"}
        return self._client.get(self._authority.urls.resource, headers=shown).is_success


class _Handler(BaseHTTPRequestHandler):
    server: MessagesApi
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class names it so
        """Print nothing."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        path = urlsplit(self.path).path
        flaw = self.server.judge(headers) if path == "/v1/messages" else None
        if flaw:
            status, kind, content = HTTPStatus.UNAUTHORIZED, "application/json", _error("authentication_error", flaw)
        elif path != "/v1/messages" or self.command != "POST":
            status, kind, content = HTTPStatus.NOT_FOUND, "application/json", _error("not_found_error", "Not found")
        else:
            status, (kind, content) = HTTPStatus.OK, _message(json.loads(body))
        self.server.record(Asked(method=self.command, path=path, headers=headers, status=status))
        self._write(status, kind, content)

    def _write(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Request-Id", "req_loopback")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _error(kind: str, message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()


def _message(request: dict[str, Any]) -> tuple[str, bytes]:
    """Return content type and body of an answer, as events if the request asks for them."""
    message: dict[str, Any] = {
        "id": "msg_loopback",
        "type": "message",
        "role": "assistant",
        "model": request["model"],
        "content": [{"type": "text", "text": ANSWER}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 4},
    }
    if not request.get("stream"):
        return "application/json", json.dumps(message).encode()
    events = (f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in _events(message))
    return "text/event-stream", "".join(events).encode()


def _events(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    end = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ANSWER}}
    yield {"type": "content_block_stop", "index": 0}
    yield {"type": "message_delta", "delta": end, "usage": {"output_tokens": 4}}
    yield {"type": "message_stop"}
