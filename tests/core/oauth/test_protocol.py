from __future__ import annotations

import json
from functools import partial
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from freshkey._http.messages import json_body
from freshkey.errors import ConfigurationError
from freshkey.model.exchange import Request
from freshkey.oauth import (
    Fields,
    Grant,
    Pkce,
    Server,
    assertion_request,
    authorization_url,
    client_credentials_request,
    code_request,
    device_request,
    device_token_request,
    new_state,
    refresh_request,
    revocation_request,
    token_exchange_request,
)
from freshkey.oauth.protocol import authorization_fields
from freshkey.secret import Secret
from raises_code import raises_code


def fields(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode(), strict_parsing=True, keep_blank_values=True))


# --- one sign-in ---------------------------------------------------------------------------------------------------


def test_pkce_matches_the_example_of_rfc_7636_appendix_b() -> None:
    vector = bytes.fromhex("7418dfb49799e0254ffa607dd8adbbba16d4254d69d6bff05b58055853848d79")
    pair = Pkce.create(lambda count: vector[:count])

    assert pair.verifier.reveal() == "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert pair.challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.mark.parametrize("make", [Pkce.create, new_state])
def test_verifier_and_state_have_256_random_bits(make: object) -> None:  # FLO-1, FLO-2
    asked: list[int] = []

    def source(count: int) -> bytes:
        asked.append(count)
        return b"\xff" * count

    assert callable(make)
    made = make(source)

    assert asked == [32]
    assert len(made.verifier.reveal() if isinstance(made, Pkce) else made) == 43


def test_two_attempts_have_different_verifiers_and_states() -> None:
    assert Pkce.create().verifier != Pkce.create().verifier
    assert new_state() != new_state()


def test_repr_of_a_grant_shows_no_secret(pkce: Pkce) -> None:
    grant = Grant(code=Secret("code-canary"), redirect_uri="http://127.0.0.1:1/c", pkce=pkce, state="state-canary")

    assert "canary" not in repr(grant)
    assert pkce.verifier.reveal() not in repr(grant)


def test_iss_required_needs_an_issuer() -> None:
    with raises_code(ConfigurationError, "invalid-issuer"):
        Server(authorization_endpoint="https://a.test/", token_endpoint="https://a.test/t", iss_required=True)


# --- the authorization request ------------------------------------------------------------------------------------


def test_the_authorization_url_always_uses_s256(server: Server, pkce: Pkce) -> None:  # FLO-1
    url = authorization_url(
        server,
        client_id="me",
        redirect_uri="http://127.0.0.1:49152/callback",
        scopes=("user:profile", "user:inference"),
        state="the state",
        pkce=pkce,
        extra={"login_hint": "a&b=c d"},
    )

    assert url.startswith("https://id.example.com/authorize?")
    assert parse_qs(urlsplit(url).query, strict_parsing=True) == {
        "response_type": ["code"],
        "client_id": ["me"],
        "redirect_uri": ["http://127.0.0.1:49152/callback"],
        "scope": ["user:profile user:inference"],
        "state": ["the state"],
        "code_challenge": [pkce.challenge],
        "code_challenge_method": ["S256"],
        "login_hint": ["a&b=c d"],
    }
    assert pkce.verifier.reveal() not in url
    assert "+" not in url


def test_a_query_in_the_endpoint_is_kept(server: Server, pkce: Pkce) -> None:  # RFC 6749, section 3.1
    server = evolve(server, authorization_endpoint="https://id.example.com/a?tenant=7")

    url = authorization_url(server, client_id="me", redirect_uri="http://x/", scopes=(), state="s", pkce=pkce)

    parameters = parse_qs(urlsplit(url).query)
    assert parameters["tenant"] == ["7"]
    assert parameters["client_id"] == ["me"]
    assert "scope" not in parameters


RESOURCES: Fields = {"resource": ("https://a.example/x?y=1&z", "https://b.example"), "audience": "one"}


def test_values_of_a_repeated_parameter_are_all_in_the_url(server: Server, pkce: Pkce) -> None:  # RFC 8707, section 2
    url = authorization_url(
        server, client_id="me", redirect_uri="http://x/", scopes=("a",), state="s", pkce=pkce, extra=RESOURCES
    )

    parameters = parse_qs(urlsplit(url).query, strict_parsing=True)
    assert parameters["resource"] == list(RESOURCES["resource"])
    assert (parameters["audience"], parameters["scope"], parameters["client_id"]) == (["one"], ["a"], ["me"])


@pytest.mark.parametrize("name", ["state", "code_challenge_method", "redirect_uri"])
def test_extra_parameters_cannot_override_protocol_parameters(server: Server, pkce: Pkce, name: str) -> None:
    with raises_code(ConfigurationError, "reserved-parameter") as caught:
        authorization_url(
            server, client_id="me", redirect_uri="http://x/", scopes=("a",), state="s", pkce=pkce, extra={name: "plain"}
        )
    assert name in str(caught.value)


@given(value=st.text(), scope=st.text("abc:/._-", min_size=1))
def test_any_value_can_be_encoded_in_the_url(value: str, scope: str) -> None:
    value = value.encode("utf-8", "replace").decode()
    server = Server(authorization_endpoint="https://id.example.com/a", token_endpoint="https://id.example.com/t")

    url = authorization_url(
        server,
        client_id=value,
        redirect_uri="http://127.0.0.1:1/c",
        scopes=(scope,),
        state="s",
        pkce=Pkce.create(),
    )

    assert url.isascii()
    parameters = parse_qs(urlsplit(url).query, keep_blank_values=True)
    assert (parameters["client_id"], parameters["scope"]) == ([value], [scope])


# --- requests to the server ----------------------------------------------------------------------------------------


def test_the_code_request(server: Server, pkce: Pkce) -> None:
    request = code_request(
        server, client_id="me", code=Secret("c"), pkce=pkce, redirect_uri="http://x/?app=a", extra={"state": "s"}
    )

    assert (request.method, request.url) == ("POST", "https://id.example.com/token")
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert fields(request) == {
        "grant_type": "authorization_code",
        "code": "c",
        "redirect_uri": "http://x/?app=a",
        "client_id": "me",
        "code_verifier": pkce.verifier.reveal(),
        "state": "s",
    }


def test_the_refresh_request_has_scopes_only_if_given(server: Server) -> None:
    bare = refresh_request(server, client_id="me", refresh_token=Secret("r"))
    narrow = refresh_request(server, client_id="me", refresh_token=Secret("r"), scopes=("a", "b"))

    assert fields(bare) == {"grant_type": "refresh_token", "refresh_token": "r", "client_id": "me"}
    assert fields(narrow)["scope"] == "a b"


def test_requests_can_be_json_and_have_extra_headers(server: Server) -> None:
    request = refresh_request(
        server, client_id="me", refresh_token=Secret("r"), headers={"anthropic-beta": "x"}, encode=json_body
    )

    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["anthropic-beta"] == "x"
    assert json.loads(request.body) == {"grant_type": "refresh_token", "refresh_token": "r", "client_id": "me"}


@pytest.mark.parametrize("scopes", [("openid email",), ("openid", ""), (" ",), ("a\n",), ('"a"',), ("é",)])
def test_scopes_are_items_of_their_own(scopes: tuple[str, ...]) -> None:  # RFC 6749, section 3.3
    with raises_code(ConfigurationError, "invalid-setting") as caught:
        refresh_request(
            Server(token_endpoint="https://x.example/"), client_id="me", refresh_token=Secret("r"), scopes=scopes
        )
    assert "an item of its own" in (caught.value.hint or "")


@pytest.mark.parametrize("mode", ["form_post", "fragment", "query.jwt"])
def test_response_reaches_no_program_but_in_a_query(mode: str, pkce: Pkce) -> None:
    ask = partial(authorization_fields, client_id="me", redirect_uri="http://x/", scopes=(), state="s", pkce=pkce)
    with raises_code(ConfigurationError, "reserved-parameter"):
        ask(extra={"response_mode": mode})
    assert ask(extra={"response_mode": "query"})["response_mode"] == "query"


@pytest.mark.parametrize("age", ["", "an hour", "-1", "1.5", "9" * 10, ("1", "2")])
def test_maximum_age_is_a_number_of_seconds(age: str | tuple[str, ...], pkce: Pkce) -> None:
    ask = partial(authorization_fields, client_id="me", redirect_uri="http://x/", scopes=(), state="s", pkce=pkce)
    with raises_code(ConfigurationError, "invalid-setting"):
        ask(extra={"max_age": age})
    assert ask(extra={"max_age": "0"})["max_age"] == "0"


def test_client_id_and_scope_of_the_assertion_request_are_optional() -> None:  # RFC 7523, section 2.1
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    request = assertion_request("https://id.example.com/token", assertion=Secret("a.b.c"))
    more = assertion_request(
        "https://id.example.com/token",
        assertion=Secret("a.b.c"),
        scopes=("x", "y"),
        extra={"client_id": "me"},
        headers={"X-Beta": "1"},
        encode=json_body,
    )

    assert request.url == "https://id.example.com/token"
    assert fields(request) == {"grant_type": grant, "assertion": "a.b.c"}
    assert json.loads(more.body) == {"grant_type": grant, "assertion": "a.b.c", "scope": "x y", "client_id": "me"}
    assert more.headers["X-Beta"] == "1"
    with raises_code(ConfigurationError, "reserved-parameter"):
        assertion_request("https://id.example.com/token", assertion=Secret("a.b.c"), extra={"assertion": "other"})


def test_the_token_exchange_request() -> None:  # RFC 8693, section 2.1
    request = token_exchange_request("https://id.example.com/token", subject_token=Secret("a.b.c"))
    more = token_exchange_request(
        "https://id.example.com/token",
        subject_token=Secret("a.b.c"),
        subject_token_type="urn:ietf:params:oauth:token-type:id_token",
        scopes=("x", "y"),
        extra={"client_id": "me", "audience": ("one", "two")},
        headers={"X-Beta": "1"},
        encode=json_body,
    )

    grant = "urn:ietf:params:oauth:grant-type:token-exchange"
    assert (request.method, request.url) == ("POST", "https://id.example.com/token")
    assert fields(request) == {
        "grant_type": grant,
        "subject_token": "a.b.c",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    }
    assert json.loads(more.body) == {
        "grant_type": grant,
        "subject_token": "a.b.c",
        "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
        "scope": "x y",
        "client_id": "me",
        "audience": ["one", "two"],
    }
    assert more.headers["X-Beta"] == "1"


@pytest.mark.parametrize("name", ["grant_type", "subject_token", "subject_token_type", "scope"])
def test_fields_of_a_token_exchange_cannot_be_overridden(name: str) -> None:
    with raises_code(ConfigurationError, "reserved-parameter") as caught:
        token_exchange_request("https://x.example/", subject_token=Secret("a"), scopes=("a",), extra={name: "canary"})
    assert name in caught.value.message
    assert "canary" not in str(caught.value)


def test_values_of_a_repeated_field_are_all_in_the_form(server: Server, pkce: Pkce) -> None:  # RFC 8707, section 2
    requests = [
        code_request(server, client_id="me", code=Secret("c"), pkce=pkce, redirect_uri="http://x/", extra=RESOURCES),
        refresh_request(server, client_id="me", refresh_token=Secret("r"), extra=RESOURCES),
        client_credentials_request(server, client_id="me", extra=RESOURCES),
        device_request(server, client_id="me", scopes=(), extra=RESOURCES),
        token_exchange_request(server.token_endpoint, subject_token=Secret("t"), extra=RESOURCES),
        assertion_request(server.token_endpoint, assertion=Secret("t"), extra=RESOURCES),
    ]

    for request in requests:
        sent = parse_qsl(request.body.decode(), strict_parsing=True)
        assert [value for name, value in sent if name == "resource"] == list(RESOURCES["resource"])
        assert ("audience", "one") in sent


def test_a_field_without_values_is_left_out(server: Server) -> None:
    request = client_credentials_request(server, client_id="me", extra={"resource": ()})

    assert fields(request) == {"grant_type": "client_credentials", "client_id": "me"}


@pytest.mark.parametrize("value", ["canary\ud800", ("fine", "canary\ud800")])
def test_a_value_that_cannot_be_sent_is_not_quoted(server: Server, value: str | tuple[str, ...]) -> None:
    with raises_code(ConfigurationError, "invalid-request-field") as caught:
        client_credentials_request(server, client_id="me", extra={"resource": value})
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


def test_every_request_has_the_client_authentication_headers(server: Server, pkce: Pkce) -> None:
    client: dict[str, Any] = {"client_id": "me", "headers": {"authorization": "Basic bWU6aw=="}}
    requests = [
        code_request(server, **client, code=Secret("c"), pkce=pkce, redirect_uri="http://x/"),
        refresh_request(server, **client, refresh_token=Secret("r")),
        revocation_request(server, **client, token=Secret("r"), hint="refresh_token"),
        device_request(server, **client, scopes=("a",)),
        device_token_request(server, **client, device_code=Secret("d")),
    ]

    assert [request.headers["authorization"] for request in requests] == ["Basic bWU6aw=="] * 5
    assert [request.url.rpartition("/")[2] for request in requests] == ["token", "token", "revoke", "device", "token"]


def test_the_revocation_request(server: Server) -> None:
    request = revocation_request(server, client_id="me", token=Secret("r"), hint="refresh_token")

    assert request.url == "https://id.example.com/revoke"
    assert fields(request) == {"token": "r", "token_type_hint": "refresh_token", "client_id": "me"}


def test_the_device_requests(server: Server) -> None:
    begin = device_request(server, client_id="me", scopes=("a",), extra={"client_secret": "k"})
    poll = device_token_request(server, client_id="me", device_code=Secret("d"), extra={"client_secret": "k"})

    assert begin.url == "https://id.example.com/device"
    assert fields(begin) == {"client_id": "me", "scope": "a", "client_secret": "k"}
    assert poll.url == "https://id.example.com/token"
    assert fields(poll) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": "d",
        "client_id": "me",
        "client_secret": "k",
    }


def test_a_missing_endpoint_is_named(server: Server) -> None:
    bare = Server(authorization_endpoint=server.authorization_endpoint, token_endpoint=server.token_endpoint)

    with raises_code(ConfigurationError, "endpoint-missing") as caught:
        revocation_request(bare, client_id="me", token=Secret("r"), hint="refresh_token")
    assert "revocation endpoint" in str(caught.value)
    with raises_code(ConfigurationError, "endpoint-missing") as caught:
        device_request(bare, client_id="me", scopes=())
    assert "device authorization endpoint" in str(caught.value)
    assert caught.value.hint == "If the provider documents one, set it in the profile"


def test_repr_of_requests_shows_no_secrets(server: Server, pkce: Pkce) -> None:
    requests = [
        code_request(server, client_id="me", code=Secret("code-canary"), pkce=pkce, redirect_uri="http://x/"),
        refresh_request(server, client_id="me", refresh_token=Secret("canary-token")),
        revocation_request(server, client_id="me", token=Secret("canary-token"), hint="refresh_token"),
        device_token_request(server, client_id="me", device_code=Secret("canary-device")),
        assertion_request(server.token_endpoint, assertion=Secret("canary-assertion")),
        token_exchange_request(server.token_endpoint, subject_token=Secret("canary-token")),
    ]

    assert not [request for request in requests if "canary" in repr(request) or pkce.verifier.reveal() in repr(request)]
