"""Userinfo: the request, whose token it is, and responses that are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    IntermediaryAnswer,
    LoginRequired,
    ProtocolError,
    ProviderRefused,
    TransientError,
)
from freshkey.model.exchange import Response
from freshkey.model.identity import Identity
from freshkey.oauth import OAuthClient, Server
from freshkey.secret import Secret
from raises_code import raises_code


Answer = Callable[..., Response]
JSON = {"content-type": "application/json; charset=utf-8"}


@pytest.fixture
def asked(server: Server, wire: Callable[..., Any]) -> Callable[..., Any]:
    def ask(response: Response, **more: Any) -> Any:
        network = wire(response)
        known = evolve(server, userinfo_endpoint="https://id.example.com/userinfo")
        identity = OAuthClient(server=known, client_id="me", send=network).userinfo(Secret("canary"), **more)
        (request,) = network.sent
        assert (request.method, request.headers["Authorization"]) == ("GET", "Bearer canary")
        return identity

    return ask


def test_whose_token_it_is(asked: Callable[..., Any], answer: Answer) -> None:
    response = answer({"sub": "user-1", "email": "ada@example.com", "tid": "t"}, 200, JSON)

    assert asked(response) == Identity(account="user-1", email="ada@example.com")
    assert asked(response, known=Identity(account="user-1"), organization="tid").organization == "t"
    assert asked(response, known=Identity())


def test_someone_elses_token(asked: Callable[..., Any], answer: Answer) -> None:
    with raises_code(ProtocolError, "invalid-userinfo"):
        asked(answer({"sub": "user-2"}, 200, JSON), known=Identity(account="user-1"))


OTHERS: list[tuple[object, int, dict[str, str], type[FreshkeyError], str]] = [
    (b"eyJ.e30.c2ln", 200, {"content-type": "application/jwt"}, ProtocolError, "invalid-userinfo"),
    ({"sub": "a"}, 200, {"content-type": "text/plain"}, ProtocolError, "invalid-userinfo"),
    ({"sub": "a"}, 200, {}, ProtocolError, "invalid-userinfo"),
    ({"sub": ""}, 200, JSON, ProtocolError, "invalid-userinfo"),
    (b"[]", 200, JSON, ProtocolError, "invalid-response"),
    (b"<html>canary</html>", 200, JSON, IntermediaryAnswer, "answered-in-between"),
    ({"error": "invalid_token"}, 401, JSON, LoginRequired, "sign-in-required"),
    ({"error": "insufficient_scope"}, 403, JSON, ProviderRefused, "provider-refused"),
    (b"", 503, {}, TransientError, "temporarily-unavailable"),
]


@pytest.mark.parametrize("case", range(len(OTHERS)))
def test_other_responses(asked: Callable[..., Any], answer: Answer, case: int) -> None:
    body, status, headers, kind, code = OTHERS[case]
    with raises_code(kind, code) as caught:
        asked(answer(body, status, headers))
    assert "canary" not in str(caught.value)


def test_a_server_without_the_endpoint(server: Server, wire: Callable[..., Any]) -> None:
    with raises_code(ConfigurationError, "endpoint-missing"):
        OAuthClient(server=server, client_id="me", send=wire()).userinfo(Secret("at"))
