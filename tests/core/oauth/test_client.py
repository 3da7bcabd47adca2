from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest

from freshkey._http.messages import json_body
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    LoginRequired,
    OutcomeUnknown,
    ProviderRefused,
    TransientError,
)
from freshkey.model.exchange import Request, Response
from freshkey.oauth import ClientSecretPost, Grant, OAuthClient, Pkce, Server
from freshkey.secret import Secret
from freshkey_testing import ManualClock
from raises_code import raises_code


Answer = Callable[..., Response]


@pytest.fixture
def grant(pkce: Pkce) -> Grant:
    return Grant(code=Secret("c0de"), redirect_uri="http://127.0.0.1:1/callback", pkce=pkce, state="s")


def test_exchange(server: Server, grant: Grant, answer: Answer, wire: Callable[..., Any]) -> None:
    network = wire(answer({"access_token": "at-1", "refresh_token": "rt-1"}))
    client = OAuthClient(server=server, client_id="me", send=network, headers={"a": "1"}, extra={"secret": "k"})

    token = client.exchange(grant, extra={"state": grant.state}, headers={"b": "2"})

    assert (token.access_token, token.refresh_token) == (Secret("at-1"), Secret("rt-1"))
    (request,) = network.sent
    assert request.url == server.token_endpoint
    assert {"a": "1", "b": "2"}.items() <= request.headers.items()
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["authorization_code"],
        "code": ["c0de"],
        "redirect_uri": ["http://127.0.0.1:1/callback"],
        "client_id": ["me"],
        "code_verifier": [grant.pkce.verifier.reveal()],
        "state": ["s"],
        "secret": ["k"],
    }


def test_refresh(server: Server, answer: Answer, wire: Callable[..., Any]) -> None:
    network = wire(answer({"access_token": "at-2"}))
    client = OAuthClient(server=server, client_id="me", send=network, encode=json_body)

    token = client.refresh(Secret("rt-1"), scopes=("a",), headers={"anthropic-beta": "x"})

    assert token.refresh_token is None
    (request,) = network.sent
    assert request.headers["anthropic-beta"] == "x"
    assert request.body == b'{"grant_type": "refresh_token", "refresh_token": "rt-1", "client_id": "me", "scope": "a"}'


def test_client_credentials(server: Server, answer: Answer, wire: Callable[..., Any]) -> None:
    network = wire(answer({"access_token": "at-1", "expires_in": 60, "refresh_token": "rt-1"}))
    client = OAuthClient(server=server, client_id="me", send=network, authentication=ClientSecretPost(Secret("s")))

    token = client.client_credentials(scopes=("a", "b"), extra={"audience": "api"}, headers={"x": "1"})

    assert (token.access_token, token.expires_in, token.refresh_token) == (Secret("at-1"), 60, None)
    (request,) = network.sent
    assert (request.url, request.headers["x"]) == (server.token_endpoint, "1")
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["me"],
        "client_secret": ["s"],
        "scope": ["a b"],
        "audience": ["api"],
    }


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("invalid_client", (LoginRequired, "client-not-accepted")),
        ("unauthorized_client", (ProviderRefused, "request-refused")),
        ("invalid_scope", (ProviderRefused, "request-refused")),
    ],
)
def test_client_whose_own_secret_is_not_accepted(
    server: Server, answer: Answer, wire: Callable[..., Any], error: str, expected: tuple[type[FreshkeyError], str]
) -> None:
    client = OAuthClient(server=server, client_id="me", send=wire(answer({"error": error}, 401)))
    with raises_code(*expected):
        client.client_credentials()


def test_client_that_is_refused_while_a_user_signs_in(server: Server, answer: Answer, wire: Callable[..., Any]) -> None:
    client = OAuthClient(server=server, client_id="me", send=wire(answer({"error": "invalid_client"}, 401)))
    with raises_code(ProviderRefused, "request-refused"):
        client.refresh(Secret("rt-1"))


def test_revoke(server: Server, answer: Answer, wire: Callable[..., Any]) -> None:
    network = wire(answer(b""), answer(b""))
    client = OAuthClient(server=server, client_id="me", send=network)

    client.revoke(Secret("rt-1"))
    client.revoke(Secret("at-1"), "access_token")

    hints = [parse_qs(request.body.decode())["token_type_hint"] for request in network.sent]
    assert hints == [["refresh_token"], ["access_token"]]


def test_a_lost_response_is_not_retried(server: Server, grant: Grant, wire: Callable[..., Any]) -> None:
    network = wire(OutcomeUnknown("lost"), OutcomeUnknown("lost"))
    client = OAuthClient(server=server, client_id="me", send=network)

    with pytest.raises(OutcomeUnknown):
        client.refresh(Secret("rt-1"))
    with pytest.raises(OutcomeUnknown):
        client.exchange(grant)
    assert len(network.sent) == 2


def test_errors_of_refresh_and_revoke(server: Server, answer: Answer, wire: Callable[..., Any]) -> None:
    date = answer(b"", 503, {"retry-after": "Thu, 01 Jan 2026 00:00:30 GMT"})
    network = wire(answer({"error": "invalid_grant"}, 400), date, date)
    client = OAuthClient(server=server, client_id="me", send=network, clock=ManualClock())

    with raises_code(LoginRequired, "sign-in-ended"):
        client.refresh(Secret("rt-1"))
    with raises_code(TransientError, "server-unavailable") as caught:
        client.refresh(Secret("rt-1"))
    assert caught.value.retry_after == 30
    with raises_code(TransientError, "server-unavailable") as caught:
        client.revoke(Secret("rt-1"))
    assert caught.value.retry_after == 30


def test_lifetimes_count_from_the_request(server: Server, grant: Grant, answer: Answer) -> None:
    clock = ManualClock()
    sent = clock.now()

    def slow(request: Request) -> Response:
        clock.advance(20)
        return answer({"access_token": "at-1", "expires_in": 60})

    client = OAuthClient(server=server, client_id="me", send=slow, clock=clock)

    assert client.exchange(grant).requested == sent
    between = clock.now()
    assert client.refresh(Secret("rt-1")).requested == between


def test_client_authentication_cannot_override_protocol_fields(server: Server, wire: Callable[..., Any]) -> None:
    client = OAuthClient(server=server, client_id="me", send=wire(), extra={"grant_type": "password"})

    with raises_code(ConfigurationError, "reserved-parameter") as caught:
        client.refresh(Secret("rt-1"))
    assert "grant_type" in str(caught.value)


def test_repr_shows_no_secret(server: Server, wire: Callable[..., Any]) -> None:
    client = OAuthClient(
        server=server,
        client_id="me",
        send=wire(),
        headers={"Authorization": "Basic canary"},
        extra={"client_secret": "canary"},
    )

    assert "canary" not in repr(client)
