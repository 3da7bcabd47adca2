from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest
from attrs import evolve
from joserfc import jwt
from joserfc.jwk import ECKey

from freshkey._http.messages import json_body
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    IntermediaryAnswer,
    LoginRequired,
    OutcomeUnknown,
    ProtocolError,
    ProviderRefused,
    TransientError,
)
from freshkey.model.exchange import Request, Response
from freshkey.model.identity import Identity
from freshkey.oauth import ClientSecretBasic, ClientSecretPost, Grant, OAuthClient, Pkce, Server, TokenAnswer
from freshkey.secret import Secret
from freshkey_testing import ManualClock
from raises_code import raises_code


Answer = Callable[..., Response]
Exchange = Callable[..., TokenAnswer]
TOKEN = Secret("e30.canary.c2ln")


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


EXCHANGES: dict[str, tuple[Exchange, dict[str, list[str]]]] = {
    "jwt_bearer": (
        lambda client, **more: client.jwt_bearer(TOKEN, **more),
        {"grant_type": ["urn:ietf:params:oauth:grant-type:jwt-bearer"], "assertion": ["e30.canary.c2ln"]},
    ),
    "token_exchange": (
        lambda client, **more: client.token_exchange(TOKEN, **more),
        {
            "grant_type": ["urn:ietf:params:oauth:grant-type:token-exchange"],
            "subject_token": ["e30.canary.c2ln"],
            "subject_token_type": ["urn:ietf:params:oauth:token-type:jwt"],
        },
    ),
}
exchanging = pytest.mark.parametrize("name", EXCHANGES)


@exchanging
def test_a_token_from_elsewhere_is_exchanged(
    server: Server, answer: Answer, wire: Callable[..., Any], name: str
) -> None:
    exchange, fields = EXCHANGES[name]
    network = wire(answer({"access_token": "at-1", "expires_in": 60, "refresh_token": "rt-1"}))
    client = OAuthClient(
        server=server, client_id="me", send=network, headers={"a": "1"}, extra={"x": "1"}, clock=ManualClock()
    )
    requested = client.clock.now()

    token = exchange(client, scopes=("a", "b"), extra={"resource": ("https://r.example", "urn:s")}, headers={"b": "2"})

    # It is repeated as long as the token from elsewhere lasts, so nothing is kept that would outlive it.
    assert (token.access_token, token.expires_in, token.refresh_token) == (Secret("at-1"), 60, None)
    assert token.requested == requested
    (request,) = network.sent
    assert request.url == server.token_endpoint
    assert {"a": "1", "b": "2"}.items() <= request.headers.items()
    assert parse_qs(request.body.decode()) == {
        **fields,
        "scope": ["a b"],
        "resource": ["https://r.example", "urn:s"],
        "x": ["1"],
        "client_id": ["me"],
    }


@exchanging
def test_a_client_without_an_id_does_not_name_itself(
    server: Server, answer: Answer, wire: Callable[..., Any], name: str
) -> None:  # RFC 7521, section 4.1
    exchange, fields = EXCHANGES[name]
    network = wire(answer({"access_token": "at-1", "expires_in": 60}))

    exchange(OAuthClient(server=server, client_id="", send=network))

    assert parse_qs(network.sent[0].body.decode()) == fields


@exchanging
def test_a_client_that_exchanges_authenticates(
    server: Server, answer: Answer, wire: Callable[..., Any], name: str
) -> None:
    exchange, fields = EXCHANGES[name]
    token = {"access_token": "at-1", "expires_in": 60}
    network = wire(answer(token), answer(token))

    for method in (ClientSecretBasic(Secret("s")), ClientSecretPost(Secret("s"))):
        exchange(OAuthClient(server=server, client_id="me", send=network, authentication=method))

    basic, post = network.sent
    assert basic.headers["Authorization"] == "Basic bWU6cw=="
    assert parse_qs(basic.body.decode()) == fields
    assert parse_qs(post.body.decode()) == {**fields, "client_id": ["me"], "client_secret": ["s"]}


def test_the_type_of_an_exchanged_token_may_be_another(
    server: Server, answer: Answer, wire: Callable[..., Any]
) -> None:
    network = wire(answer({"access_token": "at-1", "expires_in": 60, "issued_token_type": "urn:x"}))
    client = OAuthClient(server=server, client_id="me", send=network)

    client.token_exchange(TOKEN, subject_token_type="urn:ietf:params:oauth:token-type:id_token")

    sent = parse_qs(network.sent[0].body.decode())
    assert sent["subject_token_type"] == ["urn:ietf:params:oauth:token-type:id_token"]


@exchanging
@pytest.mark.parametrize(
    ("error", "status", "expected"),
    [
        ("invalid_grant", 400, (LoginRequired, "sign-in-ended")),
        ("invalid_client", 401, (LoginRequired, "client-not-accepted")),
        ("invalid_request", 400, (ProviderRefused, "request-refused")),  # RFC 8693, section 2.2.2
        ("invalid_target", 400, (ProviderRefused, "request-refused")),
        ("unauthorized_client", 400, (ProviderRefused, "request-refused")),
        ("temporarily_unavailable", 503, (TransientError, "server-unavailable")),
    ],
)
def test_a_token_from_elsewhere_that_is_refused(
    server: Server,
    answer: Answer,
    wire: Callable[..., Any],
    *,
    name: str,
    error: str,
    status: int,
    expected: tuple[type[FreshkeyError], str],
) -> None:
    exchange, _ = EXCHANGES[name]
    refusal = answer({"error": error, "error_description": "e30.canary.c2ln"}, status)
    with raises_code(*expected) as caught:
        exchange(OAuthClient(server=server, client_id="me", send=wire(refusal)))
    assert "canary" not in str(caught.value)


@exchanging
def test_fields_of_an_exchange_cannot_be_overridden(server: Server, wire: Callable[..., Any], name: str) -> None:
    exchange, fields = EXCHANGES[name]
    client = OAuthClient(server=server, client_id="me", send=wire())
    for field in fields:
        with raises_code(ConfigurationError, "reserved-parameter"):
            exchange(client, extra={field: "other"})


# --- whose token it is ----------------------------------------------------------------------------------------------

KEY = ECKey.generate_key("P-256", {"kid": "k1"})
JWKS = {"keys": [KEY.as_dict(private=False)]}
OTHERS = {"keys": [ECKey.generate_key("P-256", {"kid": "k1"}).as_dict(private=False)]}


def id_token(**changes: object) -> TokenAnswer:
    now = int(ManualClock().now().wall)
    claims = {"iss": "https://id.example.com", "aud": "me", "exp": now + 60, "iat": now, "sub": "user-1", "tid": "t"}
    token = jwt.encode({"alg": "ES256", "kid": "k1"}, claims | changes, KEY)
    return TokenAnswer(access_token=Secret("at"), extra={"id_token": token})


@pytest.fixture
def publishing(server: Server) -> Server:
    return evolve(server, jwks_uri="https://id.example.com/keys")


def verifying(server: Server, network: Callable[[Request], Response]) -> OAuthClient:
    return OAuthClient(server=server, client_id="me", send=network, clock=ManualClock(), headers={"secret": "canary"})


def test_a_verified_identity(publishing: Server, answer: Answer, wire: Callable[..., Any]) -> None:
    network = wire(answer(JWKS), answer(JWKS))
    client = verifying(publishing, network)

    assert client.verified_identity(id_token()) == Identity(account="user-1")
    found = client.verified_identity(id_token(nonce="n"), nonce="n", organization="tid")

    assert (found.account, found.organization) == ("user-1", "t")
    # The keys are fetched anew each time, and nothing else goes there than the request for them.
    assert [(request.method, request.url, request.body) for request in network.sent] == [
        ("GET", "https://id.example.com/keys", b"")
    ] * 2
    assert "canary" not in str([dict(request.headers) for request in network.sent])


@pytest.mark.parametrize(
    "changes", [{"iss": "https://other.example"}, {"aud": "other"}, {"exp": 1}, {"nonce": "other"}, {"sub": ""}]
)
def test_a_wrong_claim_costs_no_request(
    publishing: Server, wire: Callable[..., Any], changes: dict[str, object]
) -> None:
    network = wire()
    with raises_code(ProtocolError, "invalid-id-token"):
        verifying(publishing, network).verified_identity(id_token(**changes), nonce="n")
    assert network.sent == []


@pytest.mark.parametrize("missing", ["jwks_uri", "issuer"])
def test_a_server_that_publishes_no_keys_is_not_asked(
    publishing: Server, wire: Callable[..., Any], missing: str
) -> None:
    network = wire()
    server = evolve(publishing, jwks_uri=None) if missing == "jwks_uri" else evolve(publishing, issuer=None)
    with raises_code(ConfigurationError, "endpoint-missing" if missing == "jwks_uri" else "invalid-issuer"):
        verifying(server, network).verified_identity(id_token())
    assert network.sent == []


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (({"keys": []},), (ProtocolError, "id-token-signature")),
        ((OTHERS,), (ProtocolError, "id-token-signature")),
        ((b"<html>canary</html>",), (IntermediaryAnswer, "answered-in-between")),
        ((b"canary",), (ProtocolError, "invalid-response")),
        (({}, 404), (ProviderRefused, "provider-refused")),
        (({}, 503), (TransientError, "temporarily-unavailable")),
    ],
)
def test_keys_that_do_not_verify_the_id_token(
    publishing: Server,
    answer: Answer,
    wire: Callable[..., Any],
    reply: tuple[object, ...],
    expected: tuple[type[FreshkeyError], str],
) -> None:
    with raises_code(*expected) as caught:
        verifying(publishing, wire(answer(*reply))).verified_identity(id_token())
    assert "canary" not in str(caught.value)
    assert "user-1" not in str(caught.value)


def test_lost_keys_are_lost(publishing: Server, wire: Callable[..., Any]) -> None:
    with raises_code(OutcomeUnknown, OutcomeUnknown("lost").code):
        verifying(publishing, wire(OutcomeUnknown("lost"))).verified_identity(id_token())


# --- errors ---------------------------------------------------------------------------------------------------------


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
