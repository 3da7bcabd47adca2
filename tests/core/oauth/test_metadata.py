from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey._http.messages import Response
from freshkey.errors import ConfigurationError, FreshkeyError, ProtocolError, TransientError
from freshkey.oauth import Server, discover
from matrix import row


Answer = Callable[..., Response]
ISSUER = "https://id.example.com/tenant"
FACTS: dict[str, Any] = {
    "issuer": ISSUER,
    "authorization_endpoint": "https://id.example.com/authorize",
    "token_endpoint": "https://api.id.example.com/token",
    "revocation_endpoint": "https://id.example.com/revoke",
    "device_authorization_endpoint": "https://id.example.com/device",
    "authorization_response_iss_parameter_supported": True,
    "code_challenge_methods_supported": ["plain"],
}


def test_a_full_document(answer: Answer, wire: Callable[..., Any]) -> None:  # FLO-11
    network = wire(answer(FACTS))

    assert discover(ISSUER, network) == Server(
        issuer=ISSUER,
        authorization_endpoint="https://id.example.com/authorize",
        token_endpoint="https://api.id.example.com/token",
        revocation_endpoint="https://id.example.com/revoke",
        device_authorization_endpoint="https://id.example.com/device",
        iss_required=True,
    )
    (request,) = network.sent
    assert request.method == "GET"
    assert request.url == "https://id.example.com/.well-known/oauth-authorization-server/tenant"


def test_the_least_document(answer: Answer, wire: Callable[..., Any]) -> None:
    facts = {name: FACTS[name] for name in ("issuer", "authorization_endpoint", "token_endpoint")}

    server = discover(ISSUER, wire(answer(facts)))

    assert (server.revocation_endpoint, server.device_authorization_endpoint, server.iss_required) == (
        None,
        None,
        False,
    )


@pytest.mark.parametrize(
    ("issuer", "places"),
    [
        (
            ISSUER,
            [
                "https://id.example.com/.well-known/oauth-authorization-server/tenant",
                "https://id.example.com/tenant/.well-known/openid-configuration",
            ],
        ),
        (
            "https://id.example.com/",
            [
                "https://id.example.com/.well-known/oauth-authorization-server",
                "https://id.example.com/.well-known/openid-configuration",
            ],
        ),
    ],
)
def test_openid_is_the_second_place(answer: Answer, wire: Callable[..., Any], issuer: str, places: list[str]) -> None:
    network = wire(answer(b"", 404), answer({**FACTS, "issuer": issuer}))

    assert discover(issuer, network).issuer == issuer
    assert [request.url for request in network.sent] == places


def test_no_metadata_anywhere(answer: Answer, wire: Callable[..., Any]) -> None:
    with pytest.raises(ProtocolError, match=r"id\.example\.com publishes no metadata"):
        discover(ISSUER, wire(answer(b"", 404), answer(b"", 403)))


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_server_that_refuses_for_now(answer: Answer, wire: Callable[..., Any], status: int) -> None:
    with pytest.raises(TransientError) as caught:
        discover(ISSUER, wire(answer(b"", status, {"retry-after": "9"})))
    assert caught.value.retry_after == 9


@row(57, "FLO-11")
@pytest.mark.parametrize(
    "issuer", ["http://id.example.com", "https://id.example.com?a=b", "https://id.example.com#a", "id.example.com", ""]
)
def test_an_issuer_that_is_none(wire: Callable[..., Any], issuer: str) -> None:
    network = wire()

    with pytest.raises(ConfigurationError):
        discover(issuer, network)
    assert network.sent == []


@row(57, "FLO-11")
@pytest.mark.parametrize(
    "named", ["https://id.example.com/tenant/", "https://ID.example.com/tenant", "", None, 1, [ISSUER]]
)
def test_another_issuers_document_is_discarded(answer: Answer, wire: Callable[..., Any], named: object) -> None:
    with pytest.raises(ProtocolError, match="another issuer"):
        discover(ISSUER, wire(answer({**FACTS, "issuer": named})))


@row(57, "FLO-11")
@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "revocation_endpoint"])
@pytest.mark.parametrize(
    "endpoint",
    [
        "http://id.example.com/token",
        "https://evil.example/token",
        "https://id.example.com.evil.example/token",
        "https://evilid.example.com/token",
        "https://example.com/token",
        "https://169.254.169.254/latest/meta-data",
        "https://127.0.0.1/token",
        "https://localhost/token",
        "https://user@id.example.com/token",
        "https://id.example.com@evil.example/token",
        "https://id.example.com/token#a",
        "https://id.example.com/`id`",
        "--flag",
        "file:///etc/passwd",
        "",
        7,
        ["https://id.example.com/token"],
    ],
)
def test_endpoints_elsewhere(answer: Answer, wire: Callable[..., Any], name: str, endpoint: object) -> None:  # row 57
    with pytest.raises(ProtocolError, match=name) as caught:
        discover(ISSUER, wire(answer({**FACTS, name: endpoint})))
    assert "evil" not in str(caught.value)


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint"])
def test_endpoints_that_must_be_there(answer: Answer, wire: Callable[..., Any], name: str) -> None:
    with pytest.raises(ProtocolError, match=f"no {name}"):
        discover(ISSUER, wire(answer({**FACTS, name: None})))


def test_the_caller_may_allow_a_host(answer: Answer, wire: Callable[..., Any]) -> None:
    facts = {**FACTS, "token_endpoint": "https://oauth2.example.net/token"}

    assert discover(ISSUER, wire(answer(facts)), hosts=["OAuth2.example.net"]).token_endpoint == facts["token_endpoint"]


def test_loopback_without_tls_only_where_it_is_allowed(answer: Answer, wire: Callable[..., Any]) -> None:
    issuer = "http://127.0.0.1:4000"
    facts = {"issuer": issuer, "authorization_endpoint": f"{issuer}/auth", "token_endpoint": f"{issuer}/token"}

    assert discover(issuer, wire(answer(facts)), allow_insecure_loopback=True).token_endpoint == f"{issuer}/token"
    with pytest.raises(ConfigurationError):
        discover(issuer, wire(answer(facts)))


@given(
    facts=st.dictionaries(
        st.sampled_from(sorted(FACTS)), st.sampled_from(list(FACTS.values())) | st.text() | st.none() | st.integers()
    ),
    junk=st.none() | st.binary(max_size=100),
)
def test_what_is_accepted_is_ours(facts: dict[str, object], junk: bytes | None) -> None:  # section C
    response = Response(status=200, headers={}, body=json.dumps(facts).encode() if junk is None else junk)
    try:
        server = discover(ISSUER, lambda request: response)
    except FreshkeyError:
        return
    assert facts["issuer"] == ISSUER
    endpoints = (server.authorization_endpoint, server.token_endpoint, server.revocation_endpoint)
    assert all(endpoint is None or endpoint in FACTS.values() for endpoint in endpoints)
