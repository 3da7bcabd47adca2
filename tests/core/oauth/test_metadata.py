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
from promises import proves
from raises_code import raises_code


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


def test_a_complete_document(answer: Answer, wire: Callable[..., Any]) -> None:  # FLO-11
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


def test_a_minimal_document(answer: Answer, wire: Callable[..., Any]) -> None:
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
def test_openid_configuration_is_the_second_location(
    answer: Answer, wire: Callable[..., Any], issuer: str, places: list[str]
) -> None:
    network = wire(answer(b"", 404), answer({**FACTS, "issuer": issuer}))

    assert discover(issuer, network).issuer == issuer
    assert [request.url for request in network.sent] == places


def test_no_metadata_at_either_location(answer: Answer, wire: Callable[..., Any]) -> None:
    with raises_code(ProtocolError, "metadata-not-found") as caught:
        discover(ISSUER, wire(answer(b"", 404), answer(b"", 403)))
    assert "id.example.com" in str(caught.value)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_metadata_that_is_temporarily_unavailable(answer: Answer, wire: Callable[..., Any], status: int) -> None:
    with raises_code(TransientError, "metadata-unavailable") as caught:
        discover(ISSUER, wire(answer(b"", status, {"retry-after": "9"})))
    assert caught.value.retry_after == 9


@proves("FAULT-57", "FLO-11")
@pytest.mark.parametrize(
    ("issuer", "code"),
    [
        ("http://id.example.com", "invalid-url"),
        ("https://id.example.com?a=b", "invalid-issuer"),
        ("https://id.example.com#a", "invalid-url"),
        ("id.example.com", "invalid-url"),
        ("", "invalid-url"),
    ],
)
def test_invalid_issuers(wire: Callable[..., Any], issuer: str, code: str) -> None:
    network = wire()

    with raises_code(ConfigurationError, code):
        discover(issuer, network)
    assert network.sent == []


@proves("FAULT-57", "FLO-11")
@pytest.mark.parametrize(
    "named", ["https://id.example.com/tenant/", "https://ID.example.com/tenant", "", None, 1, [ISSUER]]
)
def test_metadata_of_another_issuer_is_rejected(answer: Answer, wire: Callable[..., Any], named: object) -> None:
    with raises_code(ProtocolError, "metadata-issuer-mismatch"):
        discover(ISSUER, wire(answer({**FACTS, "issuer": named})))


@proves("FAULT-57", "FLO-11")
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
def test_unsafe_endpoints(answer: Answer, wire: Callable[..., Any], name: str, endpoint: object) -> None:
    with raises_code(ProtocolError, "invalid-metadata") as caught:
        discover(ISSUER, wire(answer({**FACTS, name: endpoint})))
    assert name in str(caught.value)
    assert "evil" not in str(caught.value)


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint"])
def test_missing_endpoints(answer: Answer, wire: Callable[..., Any], name: str) -> None:
    with raises_code(ProtocolError, "invalid-metadata") as caught:
        discover(ISSUER, wire(answer({**FACTS, name: None})))
    assert f"no {name}" in str(caught.value)


def test_the_caller_may_allow_another_host(answer: Answer, wire: Callable[..., Any]) -> None:
    facts = {**FACTS, "token_endpoint": "https://oauth2.example.net/token"}

    assert discover(ISSUER, wire(answer(facts)), hosts=["OAuth2.example.net"]).token_endpoint == facts["token_endpoint"]


def test_loopback_without_tls_must_be_allowed(answer: Answer, wire: Callable[..., Any]) -> None:
    issuer = "http://127.0.0.1:4000"
    facts = {"issuer": issuer, "authorization_endpoint": f"{issuer}/auth", "token_endpoint": f"{issuer}/token"}

    assert discover(issuer, wire(answer(facts)), allow_insecure_loopback=True).token_endpoint == f"{issuer}/token"
    with raises_code(ConfigurationError, "invalid-url"):
        discover(issuer, wire(answer(facts)))


@given(
    facts=st.dictionaries(
        st.sampled_from(sorted(FACTS)), st.sampled_from(list(FACTS.values())) | st.text() | st.none() | st.integers()
    ),
    junk=st.none() | st.binary(max_size=100),
)
def test_only_endpoints_of_the_issuer_are_accepted(facts: dict[str, object], junk: bytes | None) -> None:
    response = Response(status=200, headers={}, body=json.dumps(facts).encode() if junk is None else junk)
    try:
        server = discover(ISSUER, lambda request: response)
    except FreshkeyError:
        return
    assert facts["issuer"] == ISSUER
    endpoints = (server.authorization_endpoint, server.token_endpoint, server.revocation_endpoint)
    assert all(endpoint is None or endpoint in FACTS.values() for endpoint in endpoints)
