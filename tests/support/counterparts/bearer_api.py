"""An API of models on loopback: it accepts bearer tokens as long as who issued them does, and records each request."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from attrs import field, frozen

from loopback_server import Exchange, LoopbackServer


ANSWER: Final = "Good morning from loopback"


@frozen
class Served:
    """One request: its path, the bearer token in it, and the status of the response."""

    path: str
    token: str = field(repr=False)
    status: int


class BearerApi(LoopbackServer):
    """Answers as Anthropic's Messages API and OpenAI's Chat Completions do, at any path that ends like theirs.

    Only `Authorization` counts: any other request gets a 401, also one with an API key. Use it as a context manager.

    Args:
        accepted: Asked for each request whether its token is accepted now.
    """

    HTTP_VERSION: ClassVar[str] = "HTTP/1.1"

    def __init__(self, accepted: Callable[[str], bool]) -> None:
        super().__init__()
        self._accepted = accepted
        self._served: list[Served] = []
        self._lock = threading.Lock()

    @property
    def served(self) -> list[Served]:
        """The requests so far, oldest first; they contain secrets."""
        with self._lock:
            return list(self._served)

    @property
    def tokens(self) -> list[str]:
        """The different tokens so far, in the order in which they came first; they are secrets."""
        return list(dict.fromkeys(each.token for each in self.served))

    def serve(self, exchange: Exchange) -> None:
        """Respond to one request and record it."""
        body, path = json.loads(exchange.body() or b"{}"), urlsplit(exchange.path).path
        scheme, _, token = exchange.lowered().get("authorization", "").partition(" ")
        answer = next((make for end, make in _ANSWERS.items() if path.endswith(end)), None)
        if scheme != "Bearer" or not self._accepted(token):
            status, content = HTTPStatus.UNAUTHORIZED, _error("authentication_error", "the token has expired")
        elif answer is None:
            status, content = HTTPStatus.NOT_FOUND, _error("not_found_error", "there is nothing here")
        else:
            status, content = HTTPStatus.OK, answer(str(body["model"]))
        with self._lock:
            self._served.append(Served(path, token, status))
        exchange.answer(status, json.dumps(content).encode(), {"Content-Type": "application/json"})


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


def _message(model: str) -> dict[str, Any]:
    return {
        "id": "msg_loopback",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": ANSWER}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 4},
    }


def _completion(model: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": ANSWER, "refusal": None}
    return {
        "id": "chatcmpl-loopback",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "finish_reason": "stop", "logprobs": None, "message": message}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 4, "total_tokens": 5},
    }


_ANSWERS: Final[dict[str, Callable[[str], dict[str, Any]]]] = {
    "/v1/messages": _message,
    "/chat/completions": _completion,
}
