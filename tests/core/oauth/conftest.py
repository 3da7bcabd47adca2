"""Fixtures for the tests of the OAuth toolkit: a server, a PKCE pair, and handwritten responses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pytest

from freshkey.model.exchange import Request, Response
from freshkey.oauth import Pkce, Server
from freshkey.secret import Secret


Answer = Callable[..., Response]


@pytest.fixture
def server() -> Server:
    return Server(
        authorization_endpoint="https://id.example.com/authorize",
        token_endpoint="https://id.example.com/token",
        issuer="https://id.example.com",
        revocation_endpoint="https://id.example.com/revoke",
        device_authorization_endpoint="https://id.example.com/device",
    )


@pytest.fixture
def pkce() -> Pkce:
    """The pair from RFC 7636, appendix B."""
    return Pkce(
        verifier=Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
        challenge="E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    )


@pytest.fixture
def answer() -> Answer:
    """Build a response: `answer({...})`, `answer(b"...", 400)`, `answer({...}, 429, {"retry-after": "7"})`."""

    def make(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Response(status=status, headers=dict(headers or {}), body=encoded)

    return make


class Wire:
    """Fake network: returns the responses in order and records the requests."""

    def __init__(self, *answers: Response | Exception) -> None:
        self._answers = list(answers)
        self.sent: list[Request] = []

    def __call__(self, request: Request) -> Response:
        self.sent.append(request)
        reply = self._answers.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


@pytest.fixture
def wire() -> type[Wire]:
    return Wire
