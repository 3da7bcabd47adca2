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
USER = Identity(account="user-1")
JSON = {"content-type": "application/json; charset=utf-8"}


@pytest.fixture
def asked(server: Server, wire: Callable[..., Any]) -> Callable[..., Any]:
    def ask(response: Response, known: Identity = USER, **more: Any) -> Any:
        network = wire(response)
        there = evolve(server, userinfo_endpoint="https://id.example.com/userinfo")
        client = OAuthClient(server=there, client_id="me", send=network)
        identity = client.userinfo(Secret("canary"), known=known, **more)
        (request,) = network.sent
        assert (request.method, request.headers["Authorization"]) == ("GET", "Bearer canary")
        return identity

    return ask


def test_whose_token_it_is(asked: Callable[..., Any], answer: Answer) -> None:
    response = answer({"sub": "user-1", "email": "ada@example.com", "tid": "t"}, 200, JSON)

    assert asked(response) == Identity(account="user-1", email="ada@example.com")
    assert asked(response, organization="tid").organization == "t"


@pytest.mark.parametrize(
    ("claims", "known"),
    [
        ({"sub": "user-2"}, USER),
        ({"sub": "USER-1"}, USER),
        ({"sub": "user-1", "tid": "t"}, evolve(USER, organization="another")),
    ],
)
def test_someone_elses_token(
    asked: Callable[..., Any], answer: Answer, claims: dict[str, str], known: Identity
) -> None:
    with raises_code(ProtocolError, "invalid-userinfo"):
        asked(answer(claims, 200, JSON), known=known, organization="tid")


@pytest.mark.parametrize("known", [Identity(), Identity(email="ada@example.com", organization="t")])
def test_nothing_is_asked_without_a_subject_to_compare(
    server: Server, wire: Callable[..., Any], known: Identity
) -> None:
    network = wire()
    with pytest.raises(ValueError, match="pass the identity from the ID token"):
        OAuthClient(server=server, client_id="me", send=network).userinfo(Secret("canary"), known=known)
    assert network.sent == []


OTHERS: list[tuple[object, int, dict[str, str], type[FreshkeyError], str]] = [
    (b"eyJ.e30.c2ln", 200, {"content-type": "application/jwt"}, ProtocolError, "invalid-userinfo"),
    ({"sub": "a"}, 200, {"content-type": "text/plain"}, ProtocolError, "invalid-userinfo"),
    ({"sub": "a"}, 200, {}, ProtocolError, "invalid-userinfo"),
    ({"sub": ""}, 200, JSON, ProtocolError, "invalid-userinfo"),
    ({"sub": "user-1\x00"}, 200, JSON, ProtocolError, "invalid-userinfo"),
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
        OAuthClient(server=server, client_id="me", send=wire()).userinfo(Secret("at"), known=USER)
