"""Pushed authorization requests (RFC 9126), over the wire at the test server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    LoginRequired,
    ProtocolError,
    ProviderRefused,
    TransientError,
)
from freshkey.model.exchange import Response
from freshkey.oauth import Grant, OAuthClient, PushedRequest, Server, authorize, discover
from freshkey.oauth.pushed import PushedTarget, pushed_request, read_pushed
from freshkey_testing import AuthorizationServer, ManualClock, Policy, ScriptedUser
from freshkey_testing.browser import copy_address, copy_code, follow
from raises_code import raises_code
from sending import on_loopback, scripted


Answer = Callable[..., Response]
HERE = on_loopback()


@pytest.fixture(params=["offered", "required"])
def at(request: pytest.FixtureRequest) -> Iterator[AuthorizationServer]:
    with AuthorizationServer(policy=Policy(pushed_requests=request.param)) as server:
        yield server


def client_of(server: AuthorizationServer) -> OAuthClient:
    return OAuthClient.of(HERE, discover(HERE, server.urls.issuer), server.client_id)


def sign_in(client: OAuthClient, user: ScriptedUser, **options: object) -> Grant:
    return authorize(HERE, client, user, scopes=("a",), timeout=30, **options)  # type: ignore[arg-type]


def test_the_browser_carries_only_a_reference(at: AuthorizationServer) -> None:
    client = client_of(at)
    with ScriptedUser(browser=follow) as user:
        grant = sign_in(client, user)

    query = parse_qs(urlsplit(user.opened[0]).query)
    assert query.keys() == {"client_id", "request_uri"}
    assert client.exchange(grant).access_token


@pytest.mark.parametrize("by", [copy_code, copy_address])
def test_a_paste_works_with_pushed_requests(at: AuthorizationServer, by: Callable[..., str]) -> None:
    client = client_of(at)
    paste_uri = at.urls.paste if by is copy_code else None
    with ScriptedUser(paste=by) as user:
        grant = sign_in(client, user, paste_redirect_uri=paste_uri)

    assert client.exchange(grant).access_token
    assert ("request_uri=" in user.prompts[0]) is client.server.par_required  # the other kind does not end in a minute


def test_values_of_a_repeated_parameter_are_all_pushed(at: AuthorizationServer) -> None:  # RFC 8707, section 2
    client = client_of(at)
    resources = ("https://a.example/x?y=1&z", "https://b.example")
    with ScriptedUser(browser=follow) as user:
        sign_in(client, user, extra={"resource": resources})

    (pushed,) = [sent for sent in at.requests if sent.path == urlsplit(at.urls.push).path]
    assert parse_qs(pushed.body.decode())["resource"] == list(resources)
    assert "resource" not in user.opened[0]


def test_without_the_endpoint_nothing_is_pushed() -> None:
    with AuthorizationServer() as server, ScriptedUser(browser=follow) as user:
        client = client_of(server)
        assert client.server.pushed_authorization_request_endpoint is None
        assert client.exchange(sign_in(client, user)).access_token
        assert server.count("authorization.pushed") == 0


@pytest.mark.parametrize("status", [400, 404, 503])
def test_a_failing_endpoint_stops_only_a_sign_in_that_needs_it(at: AuthorizationServer, status: int) -> None:
    client = client_of(at)
    at.fail_with(status, endpoint="push")
    if client.server.par_required:
        with ScriptedUser(browser=follow) as user, pytest.raises(FreshkeyError):
            sign_in(client, user)
        assert user.opened == []
    else:
        with ScriptedUser(browser=follow) as user:
            assert client.exchange(sign_in(client, user)).access_token
        assert ["without it" in notice for notice in user.notices] == [True]


def test_a_page_that_is_loaded_again_or_late_gets_the_plain_url() -> None:
    clock = ManualClock()
    once = PushedTarget("plain", "pushed", clock.now().elapsed + 60, clock)
    late = PushedTarget("plain", "pushed", clock.now().elapsed + 60, clock)

    assert [once(), once()] == ["pushed", "plain"]
    clock.advance(60)
    assert late() == "plain"


@pytest.mark.parametrize("endpoint", ["http://id.example.com/push", "https://evil.example/push", "file:///push"])
def test_an_unsafe_endpoint_in_metadata_is_refused(answer: Answer, endpoint: object) -> None:
    issuer = "https://id.example.com"
    facts = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "pushed_authorization_request_endpoint": endpoint,
    }
    with raises_code(ProviderRefused, "invalid-metadata"):
        discover(scripted(lambda _: answer(facts)), issuer, look_for=())


@pytest.mark.parametrize(
    ("facts", "lifetime"),
    [
        ({"request_uri": "urn:x", "expires_in": 90}, 90.0),
        ({"request_uri": "urn:x"}, 60.0),
        ({"request_uri": "urn:x", "expires_in": "soon"}, 60.0),
        ({"request_uri": "urn:x", "expires_in": True}, 60.0),
        ({"request_uri": "urn:x", "expires_in": 10**9}, 60.0),
    ],
)
def test_the_response_is_read(answer: Answer, facts: object, lifetime: float) -> None:
    assert read_pushed(answer(facts, 201), 0.0) == PushedRequest(request_uri="urn:x", expires_in=lifetime)


@pytest.mark.parametrize("reference", [None, "", "a b", "a\n", "x" * 5000, 7])
def test_a_response_without_a_usable_reference(answer: Answer, reference: object) -> None:
    with pytest.raises(ProtocolError):
        read_pushed(answer({"request_uri": reference, "expires_in": 60}, 201), 0.0)


def test_errors_are_those_of_the_token_endpoint(answer: Answer) -> None:
    with pytest.raises(ProviderRefused):
        read_pushed(answer({"error": "invalid_client"}, 401), 0.0)
    with raises_code(LoginRequired, "client-not-accepted") as caught:
        read_pushed(answer({"error": "invalid_client"}, 401), 0.0, as_itself=True)
    assert "secret or key" in (caught.value.hint or "")
    with pytest.raises(TransientError):
        read_pushed(answer({"error": "temporarily_unavailable"}, 503), 0.0)


def test_hint_after_a_refusal_has_the_redirect_uri(answer: Answer) -> None:
    with raises_code(ProviderRefused, "request-refused") as caught:
        read_pushed(answer({"error": "invalid_request"}, 400), 0.0)
    assert "the redirect URI" in (caught.value.hint or "")
    with raises_code(ProviderRefused, "request-refused") as caught:
        read_pushed(answer({"error": "invalid_scope"}, 400), 0.0)
    assert "offline_access" in (caught.value.hint or "")


def test_a_server_without_the_endpoint(server: Server) -> None:
    with raises_code(ConfigurationError, "endpoint-missing"):
        pushed_request(server, fields={})
