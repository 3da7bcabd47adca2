"""A Messages API on loopback that accepts tokens of the authorization server, and records every request."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Iterator
from http import HTTPStatus
from types import TracebackType
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import httpx
from attrs import field, frozen

from freshkey_testing import AuthorizationServer
from loopback_server import Exchange, LoopbackServer


ANSWER: Final = "Good morning from loopback"
OAUTH_BETA: Final = "oauth-2025-04-20"


@frozen(kw_only=True)
class Asked:
    """One request to the API, and the status of the response.

    Attributes:
        method: HTTP method.
        path: The path without the query.
        headers: Headers with lower-case names.
        status: Status of the response.
    """

    method: str
    path: str
    headers: dict[str, str] = field(repr=False)
    status: int


class MessagesApi(LoopbackServer):
    """``POST /v1/messages``, streamed or not, for valid access tokens and API keys; a context manager.

    A bearer token is accepted while the authorization server's protected resource accepts it, which is checked for each
    request. Any other request gets a 401 in the vendor's error format.

    Args:
        authority: The authorization server.
        keys: API keys, accepted as ``x-api-key`` and as bearer tokens.
        wants_beta: Whether to refuse an OAuth token without the beta header, as was observed at times.
    """

    HTTP_VERSION: ClassVar[str] = "HTTP/1.1"

    def __init__(self, authority: AuthorizationServer, *, keys: Collection[str] = (), wants_beta: bool = True) -> None:
        super().__init__()
        self._authority = authority
        self._keys = frozenset(keys)
        self._wants_beta = wants_beta
        self._client = httpx.Client(trust_env=False, timeout=20)
        self._requests: list[Asked] = []
        self._disturbances: list[Callable[[], object]] = []
        self._lock = threading.Lock()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._client.close()

    @property
    def messages(self) -> list[Asked]:
        """The requests for messages so far, oldest first. Headers contain secrets: check them, but never print them."""
        with self._lock:
            return [asked for asked in self._requests if asked.path == "/v1/messages"]

    @property
    def statuses(self) -> list[int]:
        """The status codes of the responses to requests for messages so far."""
        return [asked.status for asked in self.messages]

    def just_before_the_next(self, disturb: Callable[[], object]) -> None:
        """Call this when the next request for a message has arrived, before its credential is checked."""
        with self._lock:
            self._disturbances.append(disturb)

    def serve(self, exchange: Exchange) -> None:
        """Respond to one request and record it."""
        body, headers, path = exchange.body(), exchange.lowered(), urlsplit(exchange.path).path
        flaw = self.judge(headers) if path == "/v1/messages" else None
        if flaw:
            status, kind, content = HTTPStatus.UNAUTHORIZED, "application/json", _error("authentication_error", flaw)
        elif path != "/v1/messages" or exchange.command != "POST":
            status, kind, content = HTTPStatus.NOT_FOUND, "application/json", _error("not_found_error", "Not found")
        else:
            status, (kind, content) = HTTPStatus.OK, _message(json.loads(body))
        self.record(Asked(method=exchange.command, path=path, headers=headers, status=status))
        exchange.answer(status, content, {"Content-Type": kind, "Request-Id": "req_loopback"})

    def judge(self, headers: dict[str, str]) -> str | None:
        """Return why a request for a message is not authorized; None if it is."""
        with self._lock:
            disturbances, self._disturbances = self._disturbances, []
        for disturb in disturbances:
            disturb()
        return self.flaw(headers)

    def record(self, asked: Asked) -> None:
        """Record a request for the test."""
        with self._lock:
            self._requests.append(asked)

    def flaw(self, headers: dict[str, str]) -> str | None:
        """Return why a request is not authorized, in messages that were observed; None if it is."""
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


def _error(kind: str, message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()


def _message(request: dict[str, Any]) -> tuple[str, bytes]:
    """Return content type and body of a response, as events if the request asks for streaming."""
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
