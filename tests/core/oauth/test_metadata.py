from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    OutcomeUnknown,
    ProtocolError,
    ProviderRefused,
    TransientError,
)
from freshkey.model.exchange import Response, Send
from freshkey.oauth import Server, metadata
from promises import proves
from raises_code import raises_code
from sending import scripted


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


def discover(issuer: str, send: Send, *, allow_insecure_loopback: bool = False, **options: Any) -> Server:
    profile = scripted(send, allow_insecure_loopback=allow_insecure_loopback)
    return metadata.discover(profile, issuer, **options)


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

    server = discover(ISSUER, wire(answer(facts), answer(b"", 404), answer(facts), answer(b"", 404)))

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
                "https://id.example.com/tenant/.well-known/oauth-authorization-server",
                "https://id.example.com/tenant/.well-known/openid-configuration",
                "https://id.example.com/.well-known/openid-configuration/tenant",
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
def test_the_locations_in_order(answer: Answer, wire: Callable[..., Any], issuer: str, places: list[str]) -> None:
    network = wire(*[answer(b"", 404)] * (len(places) - 1), answer({**FACTS, "issuer": issuer}))

    assert discover(issuer, network).issuer == issuer
    assert [request.url for request in network.sent] == places


@pytest.mark.parametrize("position", [0, 1, 2, 3])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 404),
        (b"", 200),
        (b"<!doctype html><title>Sign in</title>", 200),
        (b"<!doctype html><title>Not found</title>", 404),
        (b"[]", 200),
        (b'{"issuer": "https://id.example.com/ten', 200),
        (b'{"issuer": "https://id.example.com"}', 200),
        (b'{"error": "Forbidden"}', 200),
        (b"", 204),
        (b"", 401),
    ],
)
def test_a_location_without_a_usable_document_does_not_end_the_search(
    answer: Answer, wire: Callable[..., Any], position: int, body: bytes, status: int
) -> None:
    elsewhere = [answer(body, status)] * 4
    elsewhere[position] = answer(FACTS)

    assert discover(ISSUER, wire(*elsewhere)).token_endpoint == FACTS["token_endpoint"]


@pytest.mark.parametrize("position", [0, 1, 2, 3])
def test_a_location_where_the_server_fails_does_not_end_the_search(
    answer: Answer, wire: Callable[..., Any], position: int
) -> None:
    answers = [answer(b"", 404)] * 4
    answers[position], answers[position - 1] = answer(b"", 500), answer(FACTS)

    assert discover(ISSUER, wire(*answers)).token_endpoint == FACTS["token_endpoint"]


def test_a_location_that_redirects_or_is_too_large_does_not_end_the_search(
    answer: Answer, wire: Callable[..., Any]
) -> None:
    redirect = TransientError("a redirect", local=True, code="redirect-refused")
    network = wire(redirect, ProtocolError("too large"), answer(FACTS))

    assert discover(ISSUER, network).token_endpoint == FACTS["token_endpoint"]


def test_no_metadata_at_any_location(answer: Answer, wire: Callable[..., Any]) -> None:
    with raises_code(ProviderRefused, "metadata-not-found") as caught:
        discover(ISSUER, wire(answer(b"", 404), answer(b"", 403), *[answer(b"", 404)] * 2))
    assert "id.example.com" in str(caught.value)


def test_json_that_is_no_metadata_is_not_that_of_another_issuer(answer: Answer, wire: Callable[..., Any]) -> None:
    with raises_code(ProviderRefused, "metadata-not-found"):
        discover(ISSUER, wire(*[answer({"blocked": True})] * 4))


def test_what_was_wrong_is_reported_instead_of_what_was_missing(answer: Answer, wire: Callable[..., Any]) -> None:
    large = ProtocolError("too large", code="response-too-large")

    with raises_code(ProviderRefused, "response-too-large"):
        discover(ISSUER, wire(answer(b"", 404), large, answer(b"<html>", 200), answer(b"", 404)))


# --- several documents --------------------------------------------------------------------------------------------

LISTS_NO_REVOCATION = {name: value for name, value in FACTS.items() if name != "revocation_endpoint"}


@pytest.mark.parametrize("position", [0, 1, 2, 3])
def test_an_endpoint_in_only_one_document_is_found(answer: Answer, wire: Callable[..., Any], position: int) -> None:
    documents = [answer(LISTS_NO_REVOCATION)] * 4
    documents[position] = answer(FACTS)

    assert discover(ISSUER, wire(*documents)).revocation_endpoint == FACTS["revocation_endpoint"]


def test_required_endpoints_may_be_in_different_documents(answer: Answer, wire: Callable[..., Any]) -> None:
    first = {"issuer": ISSUER, "token_endpoint": FACTS["token_endpoint"]}
    second = {"issuer": ISSUER, "authorization_endpoint": FACTS["authorization_endpoint"]}

    server = discover(ISSUER, wire(answer(first), answer(b"", 404), answer(second), answer(b"", 404)))

    assert (server.token_endpoint, server.authorization_endpoint) == (
        FACTS["token_endpoint"],
        FACTS["authorization_endpoint"],
    )


@proves("FLO-11")
def test_the_first_document_wins_and_null_is_no_value(answer: Answer, wire: Callable[..., Any]) -> None:
    first = {**LISTS_NO_REVOCATION, "revocation_endpoint": None}
    second = {**FACTS, "token_endpoint": "https://id.example.com/other", "authorization_endpoint": "https://x.example/"}

    server = discover(ISSUER, wire(answer(first), answer(second)))

    assert server.token_endpoint == FACTS["token_endpoint"]
    assert server.authorization_endpoint == FACTS["authorization_endpoint"]
    assert server.revocation_endpoint == FACTS["revocation_endpoint"]


@pytest.mark.parametrize("look_for", [(), ("device_authorization_endpoint",)])
def test_the_search_ends_when_everything_needed_is_known(
    answer: Answer, wire: Callable[..., Any], look_for: tuple[str, ...]
) -> None:
    network = wire(answer(LISTS_NO_REVOCATION))

    assert discover(ISSUER, network, look_for=look_for).revocation_endpoint is None
    assert len(network.sent) == 1


@pytest.mark.parametrize("endpoint", ["https://evil.example/revoke", "http://id.example.com/revoke", 7])
def test_an_unsafe_endpoint_in_a_further_document_is_ignored(
    answer: Answer, wire: Callable[..., Any], caplog: pytest.LogCaptureFixture, endpoint: object
) -> None:
    further = {**FACTS, "revocation_endpoint": endpoint}

    server = discover(ISSUER, wire(answer(LISTS_NO_REVOCATION), *[answer(further)] * 3))

    assert server.revocation_endpoint is None
    assert "ignored the unsafe revocation_endpoint" in caplog.text
    assert "evil" not in caplog.text


@pytest.mark.parametrize("failure", [TransientError("unreachable"), OutcomeUnknown("timed out")])
def test_a_further_location_that_fails_does_not_prevent_the_sign_in(
    answer: Answer, wire: Callable[..., Any], failure: object
) -> None:
    network = wire(answer(LISTS_NO_REVOCATION), failure)

    assert discover(ISSUER, network).token_endpoint == FACTS["token_endpoint"]
    assert len(network.sent) == 2


REFUSED = TransientError("a redirect", local=True, code="redirect-refused")


def test_a_further_location_that_answers_with_a_failure_does_not_end_the_search(
    answer: Answer, wire: Callable[..., Any]
) -> None:
    network = wire(answer(LISTS_NO_REVOCATION), REFUSED, answer(b"", 500), answer(FACTS))

    assert discover(ISSUER, network).revocation_endpoint == FACTS["revocation_endpoint"]


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_metadata_that_is_temporarily_unavailable(answer: Answer, wire: Callable[..., Any], status: int) -> None:
    failure = answer(b"", status, {"retry-after": "9"})
    with raises_code(TransientError, "metadata-unavailable") as caught:
        discover(ISSUER, wire(answer(b"", 404), failure, REFUSED, answer(b"<html>", 200)))
    assert caught.value.retry_after == 9


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_server_in_trouble_is_not_asked_for_other_documents(
    answer: Answer, wire: Callable[..., Any], status: int
) -> None:
    """Each of these requests would count as a failure of the host, until it is paused."""
    network = wire(answer(b"", status))
    with raises_code(TransientError, "metadata-unavailable"):
        discover(ISSUER, network)
    assert len(network.sent) == 1


def test_search_ends_after_two_locations_that_fail(answer: Answer, wire: Callable[..., Any]) -> None:
    network = wire(answer(b"", 500), answer(b"", 500))
    with raises_code(TransientError, "metadata-unavailable"):
        discover(ISSUER, network)
    assert len(network.sent) == 2


@pytest.mark.parametrize("failure", [TransientError("unreachable"), OutcomeUnknown("timed out")])
def test_a_server_that_cannot_be_reached_is_not_asked_again(wire: Callable[..., Any], failure: FreshkeyError) -> None:
    network = wire(failure)

    with pytest.raises(TransientError):  # also for a lost response: nothing was sent that cannot be sent again
        discover(ISSUER, network)
    assert len(network.sent) == 1


@proves("FLO-11")
def test_another_token_endpoint_is_not_believed_while_a_location_fails(
    answer: Answer, wire: Callable[..., Any]
) -> None:
    known, other = FACTS["token_endpoint"], {**FACTS, "token_endpoint": "https://id.example.com/oidc/token"}

    with raises_code(TransientError, "metadata-unavailable"):
        discover(ISSUER, wire(answer(b"", 500), answer(other)), token_endpoint=known)
    assert discover(ISSUER, wire(answer(b"", 500), answer(FACTS)), token_endpoint=known).token_endpoint == known
    assert discover(ISSUER, wire(answer(other)), token_endpoint=known).token_endpoint == other["token_endpoint"]
    late = wire(answer(LISTS_NO_REVOCATION | {"token_endpoint": other["token_endpoint"]}), *[answer(b"", 500)] * 3)
    assert discover(ISSUER, late, token_endpoint=known).token_endpoint == other["token_endpoint"]


def test_a_byte_order_mark_is_ignored(answer: Answer, wire: Callable[..., Any]) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(FACTS).encode()

    assert discover(ISSUER, wire(answer(body))).token_endpoint == FACTS["token_endpoint"]


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(FACTS).encode("utf-16"),
        json.dumps(FACTS)[:-1].encode() + b', "service_documentation": "M\xfcnchen"}',
        json.dumps(FACTS)[:-1].encode() + f', "issuer": "{ISSUER}"}}'.encode(),
        json.dumps(FACTS)[:-1].encode() + b', "max_age": NaN}',
        json.dumps(FACTS)[:-1].encode() + b', "x-rules": ' + b"[" * 20 + b"]" * 20 + b"}",
        json.dumps(FACTS).encode() + b"\n<!-- cached -->",
        b"for(;;);" + json.dumps(FACTS).encode(),
    ],
    ids=["utf-16", "latin-1", "twice", "nan", "deep", "comment", "guard"],
)
def test_a_document_is_read_like_a_token_response(answer: Answer, wire: Callable[..., Any], body: bytes) -> None:
    assert discover(ISSUER, wire(answer(body))).revocation_endpoint == FACTS["revocation_endpoint"]


@pytest.mark.parametrize("status", [200, 201, 203, 299])
def test_any_success_has_a_document(answer: Answer, wire: Callable[..., Any], status: int) -> None:
    assert discover(ISSUER, wire(answer(FACTS, status))).token_endpoint == FACTS["token_endpoint"]


@pytest.mark.parametrize("status", [199, 300, 304, 400, 401, 404])
def test_nothing_but_a_success_has_a_document(answer: Answer, wire: Callable[..., Any], status: int) -> None:
    with raises_code(ProviderRefused, "metadata-not-found"):
        discover(ISSUER, wire(*[answer(FACTS, status)] * 4))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", json.dumps(FACTS)[:-1].encode()])
def test_a_document_that_cannot_be_read_is_invalid(answer: Answer, wire: Callable[..., Any], body: bytes) -> None:
    with raises_code(ProviderRefused, "invalid-response"):
        discover(ISSUER, wire(*[answer(body)] * 4))


def test_an_empty_endpoint_is_none(answer: Answer, wire: Callable[..., Any]) -> None:
    empty = {**FACTS, "revocation_endpoint": "", "device_authorization_endpoint": ""}

    server = discover(ISSUER, wire(answer(empty), *[answer(b"", 404)] * 3))

    assert (server.revocation_endpoint, server.device_authorization_endpoint) == (None, None)


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
    with raises_code(ProviderRefused, "metadata-issuer-mismatch"):
        discover(ISSUER, wire(*[answer({**FACTS, "issuer": named})] * 4))


@pytest.mark.parametrize(
    ("issuer", "named", "hint"),
    [
        (ISSUER, f"{ISSUER}/", "Write the issuer with a slash at its end"),
        (f"{ISSUER}/", ISSUER, "Write the issuer without the slash at its end"),
        (ISSUER, "https://id.example.com/other", "Check the issuer in the provider's settings"),
    ],
)
def test_slash_that_an_issuer_lacks_or_has_too_many_is_named(
    answer: Answer, wire: Callable[..., Any], issuer: str, named: str, hint: str
) -> None:
    with raises_code(ProviderRefused, "metadata-issuer-mismatch") as caught:
        discover(issuer, wire(*[answer({**FACTS, "issuer": named})] * 4))
    assert caught.value.hint == hint


def test_issuer_that_is_the_address_of_its_metadata_is_told(answer: Answer, wire: Callable[..., Any]) -> None:
    with raises_code(ProviderRefused, "metadata-not-found") as caught:
        discover(f"{ISSUER}/.well-known/openid-configuration", wire(*[answer(b"", 404)] * 4))
    assert caught.value.hint == "Leave /.well-known/ and what follows it off the issuer"


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
        "file:///etc/passwd",
        "://",
    ],
)
def test_unsafe_endpoints(answer: Answer, wire: Callable[..., Any], name: str, endpoint: object) -> None:
    with raises_code(ProviderRefused, "invalid-metadata") as caught:
        discover(ISSUER, wire(answer({**FACTS, name: endpoint})))
    assert name in str(caught.value)
    assert "evil" not in str(caught.value)


NO_URLS = [
    *("/token", "token", "//evil.example/token", "evil.example:443/token", "javascript:evil()", "--flag", " "),
    *(7, 0, False, ["https://id.example.com/token"], {}),
]


@proves("FAULT-57", "FLO-11")
@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint"])
@pytest.mark.parametrize("endpoint", NO_URLS)
def test_a_required_endpoint_that_is_no_url(
    answer: Answer, wire: Callable[..., Any], name: str, endpoint: object
) -> None:
    with raises_code(ProviderRefused, "invalid-metadata") as caught:
        discover(ISSUER, wire(answer({**FACTS, name: endpoint})))
    assert name in str(caught.value)


@proves("FLO-11")
@pytest.mark.parametrize("name", ["revocation_endpoint", "device_authorization_endpoint"])
@pytest.mark.parametrize("endpoint", NO_URLS)
def test_an_optional_endpoint_that_is_no_url_is_none(
    answer: Answer, wire: Callable[..., Any], caplog: pytest.LogCaptureFixture, name: str, endpoint: object
) -> None:
    flawed = answer({**FACTS, name: endpoint})

    alone = discover(ISSUER, wire(*[flawed] * 4), look_for=(name,))
    merged = discover(ISSUER, wire(flawed, answer(FACTS)), look_for=(name,))

    assert (getattr(alone, name), getattr(merged, name)) == (None, FACTS[name])
    assert f"ignored the unsafe {name}" in caplog.text
    assert "evil" not in caplog.text


@pytest.mark.parametrize("missing", [None, ""])
def test_a_missing_token_endpoint(answer: Answer, wire: Callable[..., Any], missing: str | None) -> None:
    with raises_code(ProviderRefused, "invalid-metadata") as caught:
        discover(ISSUER, wire(*[answer({**FACTS, "token_endpoint": missing})] * 4))
    assert "no token_endpoint" in str(caught.value)


@pytest.mark.parametrize("missing", [None, ""])
def test_a_server_without_users_has_no_authorization_endpoint(
    answer: Answer, wire: Callable[..., Any], missing: str | None
) -> None:
    network = wire(*[answer({**FACTS, "authorization_endpoint": missing})] * 4)

    assert discover(ISSUER, network).authorization_endpoint is None
    assert len(network.sent) == 4


@pytest.mark.parametrize("grants", [["client_credentials"], [], [{}], [[], None, 7]])
def test_no_authorization_endpoint_is_looked_for_where_no_grant_type_uses_it(
    answer: Answer, wire: Callable[..., Any], grants: list[str]
) -> None:
    facts = {name: value for name, value in FACTS.items() if name != "authorization_endpoint"}
    network = wire(answer({**facts, "grant_types_supported": grants}))

    assert discover(ISSUER, network).token_endpoint == FACTS["token_endpoint"]
    assert len(network.sent) == 1


def test_an_authorization_endpoint_that_could_not_be_read_is_not_missing(
    answer: Answer, wire: Callable[..., Any]
) -> None:
    facts = {name: value for name, value in FACTS.items() if name != "authorization_endpoint"}

    with raises_code(TransientError, "metadata-unavailable"):
        discover(ISSUER, wire(answer(facts), answer(b"", 503)))


def test_the_userinfo_endpoint(answer: Answer, wire: Callable[..., Any]) -> None:
    address = "https://id.example.com/userinfo"
    network = wire(answer(FACTS), answer({**FACTS, "userinfo_endpoint": address}))

    assert discover(ISSUER, network, look_for=("userinfo_endpoint",)).userinfo_endpoint == address


ELSEWHERE = pytest.mark.parametrize("name", ["userinfo_endpoint", "jwks_uri"])


@ELSEWHERE
def test_keys_and_userinfo_are_found_on_the_issuers_host(answer: Answer, wire: Callable[..., Any], name: str) -> None:
    address = f"https://id.example.com/{name}"
    network = wire(answer({**FACTS, name: address}))

    assert getattr(discover(ISSUER, network), name) == address
    assert len(network.sent) == 1


@ELSEWHERE
@pytest.mark.parametrize("document", [0, 1])
def test_keys_and_userinfo_on_another_host_are_ignored_unless_looked_for(
    answer: Answer, wire: Callable[..., Any], caplog: pytest.LogCaptureFixture, name: str, document: int
) -> None:
    """Google and Microsoft have theirs on other hosts than the issuer."""
    there = {**FACTS, name: "https://evil.example/it"}
    answers = [answer(there)] if document == 0 else [answer(LISTS_NO_REVOCATION), *[answer(there)] * 3]

    server = discover(ISSUER, wire(*answers))

    assert getattr(server, name) is None
    assert server.revocation_endpoint == FACTS["revocation_endpoint"]
    assert f"ignored the unsafe {name}" in caplog.text
    assert "evil" not in caplog.text


UNSAFE = ["https://evil.example/it", "http://id.example.com/it", "https://127.0.0.1/it"]


@pytest.mark.parametrize("address", UNSAFE)
def test_keys_on_another_host_are_refused_if_looked_for(answer: Answer, wire: Callable[..., Any], address: str) -> None:
    with raises_code(ProviderRefused, "invalid-metadata") as caught:
        discover(ISSUER, wire(answer({**FACTS, "jwks_uri": address})), look_for=("jwks_uri",))
    assert "jwks_uri" in caught.value.message
    assert "evil" not in str(caught.value)


@pytest.mark.parametrize("address", UNSAFE)
def test_userinfo_on_another_host_counts_as_missing_if_looked_for(
    answer: Answer, wire: Callable[..., Any], address: str
) -> None:
    there, here = ({**FACTS, "userinfo_endpoint": url} for url in (address, "https://id.example.com/it"))

    alone = discover(ISSUER, wire(*[answer(there)] * 4), look_for=("userinfo_endpoint",))
    merged = discover(ISSUER, wire(answer(there), answer(here)), look_for=("userinfo_endpoint",))

    assert (alone.userinfo_endpoint, merged.userinfo_endpoint) == (None, here["userinfo_endpoint"])


@ELSEWHERE
def test_keys_and_userinfo_on_an_allowed_host_are_found(answer: Answer, wire: Callable[..., Any], name: str) -> None:
    address = "https://keys.example.net/it"
    for look_for in ((), (name,)):
        server = discover(ISSUER, wire(answer({**FACTS, name: address})), hosts=["keys.example.net"], look_for=look_for)
        assert getattr(server, name) == address


@ELSEWHERE
@pytest.mark.parametrize("endpoint", NO_URLS)
def test_keys_and_userinfo_that_are_no_url_are_none(
    answer: Answer, wire: Callable[..., Any], name: str, endpoint: object
) -> None:
    flawed = answer({**FACTS, name: endpoint})

    assert getattr(discover(ISSUER, wire(flawed)), name) is None
    assert getattr(discover(ISSUER, wire(*[flawed] * 4), look_for=(name,)), name) is None


NO_LISTS: list[object] = [[], None, "", "none", 7, {"none": True}]


@pytest.mark.parametrize(
    ("listed", "methods"),
    [
        (["client_secret_basic", "none"], ("client_secret_basic", "none")),
        (["private_key_jwt", 7, None, ["none"], "own"], ("private_key_jwt", "own")),
        *((listed, ()) for listed in NO_LISTS),
    ],
)
def test_how_clients_may_authenticate(
    answer: Answer, wire: Callable[..., Any], listed: object, methods: tuple[str, ...]
) -> None:
    facts = {**FACTS, "token_endpoint_auth_methods_supported": listed}

    assert discover(ISSUER, wire(answer(facts))).authentication_methods == methods


@pytest.mark.parametrize("required", [True, False, "true", 1, None])
def test_whether_requests_must_be_pushed(answer: Answer, wire: Callable[..., Any], required: object) -> None:
    address = "https://id.example.com/par"
    facts = {
        **FACTS,
        "pushed_authorization_request_endpoint": address,
        "require_pushed_authorization_requests": required,
    }

    server = discover(ISSUER, wire(answer(facts)))

    assert server.pushed_authorization_request_endpoint == address
    assert server.par_required is (required is True)


def test_the_caller_may_allow_another_host(answer: Answer, wire: Callable[..., Any]) -> None:
    facts = {**FACTS, "token_endpoint": "https://oauth2.example.net/token"}

    assert discover(ISSUER, wire(answer(facts)), hosts=["OAuth2.example.net"]).token_endpoint == facts["token_endpoint"]


def test_loopback_without_tls_must_be_allowed(answer: Answer, wire: Callable[..., Any]) -> None:
    issuer = "http://127.0.0.1:4000"
    facts = {"issuer": issuer, "authorization_endpoint": f"{issuer}/auth", "token_endpoint": f"{issuer}/token"}

    network = wire(answer(facts), answer(facts))

    assert discover(issuer, network, allow_insecure_loopback=True).token_endpoint == f"{issuer}/token"
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
