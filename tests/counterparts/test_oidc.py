"""The behavior of npm's oidc-provider that freshkey's tests rely on, checked without freshkey."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from counterparts.client import UNUSED_REDIRECT, PlainClient
from counterparts.loopback import RedirectListener
from counterparts.oidc import RESOURCE, OidcServer, approve_device, authorize, sign_in
from counterparts.requires import require
from python_program import killed_at_the_end
from waiting import until


pytestmark = pytest.mark.counterpart


@pytest.fixture
def server() -> Iterator[OidcServer]:
    with OidcServer(access_token_seconds=60) as server:
        yield server


@pytest.fixture
def client(server: OidcServer) -> PlainClient:
    return PlainClient(server)


def test_metadata_contains_what_a_public_client_needs(server: OidcServer) -> None:
    metadata = httpx.get(server.url("/.well-known/openid-configuration"), trust_env=False).json()
    assert metadata["issuer"] == server.issuer
    assert metadata["token_endpoint"] == server.url("/token")
    assert metadata["revocation_endpoint"] == server.url("/token/revocation")
    assert metadata["device_authorization_endpoint"] == server.url("/device/auth")
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert "none" in metadata["token_endpoint_auth_methods_supported"]


def test_sign_in_redirects_to_any_loopback_port(client: PlainClient) -> None:
    with RedirectListener() as listener:
        sign_in(client.authorization_url(listener.redirect_uri))
        query = listener.wait()
    assert query["state"] == "a-state"
    tokens = client.exchange(query["code"], listener.redirect_uri).json()
    assert tokens["expires_in"] == 60
    assert client.userinfo(tokens["access_token"]).json() == {"sub": "alice"}


def test_denied_sign_in_redirects_with_an_error(client: PlainClient) -> None:
    redirect = authorize(client.authorization_url(UNUSED_REDIRECT), deny=True)
    assert dict(parse_qsl(urlsplit(redirect).query))["error"] == "access_denied"


def test_pkce_is_required(server: OidcServer, client: PlainClient) -> None:
    redirect = authorize(client.authorization_url(UNUSED_REDIRECT, code_challenge="", code_challenge_method=""))
    assert dict(parse_qsl(urlsplit(redirect).query))["error"] == "invalid_request"
    code = dict(parse_qsl(urlsplit(authorize(client.authorization_url(UNUSED_REDIRECT))).query))["code"]
    assert PlainClient(server).exchange(code, UNUSED_REDIRECT).json()["error"] == "invalid_grant"


def test_a_code_works_once(client: PlainClient) -> None:
    code = dict(parse_qsl(urlsplit(authorize(client.authorization_url(UNUSED_REDIRECT))).query))["code"]
    assert client.exchange(code, UNUSED_REDIRECT).is_success
    assert client.exchange(code, UNUSED_REDIRECT).json()["error"] == "invalid_grant"


def test_each_refresh_returns_a_new_refresh_token_and_keeps_the_old_access_token_valid(
    server: OidcServer, client: PlainClient
) -> None:
    first = client.tokens()
    second = client.refresh(first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert client.userinfo(first["access_token"]).is_success
    assert client.userinfo(second["access_token"]).is_success
    assert server.count("refresh_token.consumed") == 1
    assert server.count("grant.success", grant_type="refresh_token") == 1
    assert server.count("grant.revoked") == 0


def test_reuse_of_a_consumed_refresh_token_revokes_the_newest_tokens(server: OidcServer, client: PlainClient) -> None:
    first = client.tokens()
    second = client.refresh(first["refresh_token"]).json()
    replay = client.refresh(first["refresh_token"])
    assert (replay.status_code, replay.json()["error"]) == (400, "invalid_grant")
    assert client.refresh(second["refresh_token"]).json()["error"] == "invalid_grant"
    assert client.userinfo(second["access_token"]).status_code == 401
    assert server.count("grant.revoked") == 1
    assert server.count("grant.error", reason="refresh token already used") == 1


def test_one_of_concurrent_refreshes_succeeds_and_is_revoked(server: OidcServer, client: PlainClient) -> None:
    token = client.tokens()["refresh_token"]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(client.refresh, [token] * 8))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
    winner = next(answer for answer in answers if answer.is_success).json()
    assert client.refresh(winner["refresh_token"]).status_code == 400
    assert server.count("grant.revoked") >= 1


def test_without_rotation_the_refresh_token_stays_the_same() -> None:
    with OidcServer(rotate=False) as server:
        client = PlainClient(server)
        token = client.tokens()["refresh_token"]
        assert client.refresh(token).json()["refresh_token"] == token
        assert client.refresh(token).is_success


def test_request_with_a_lost_response_has_consumed_the_refresh_token(server: OidcServer, client: PlainClient) -> None:
    token = client.tokens()["refresh_token"]
    server.lose_answers(1)
    with pytest.raises(httpx.RemoteProtocolError):
        client.refresh(token)
    assert server.count("refresh_token.consumed") == 1
    assert client.refresh(token).json()["error"] == "invalid_grant"
    assert server.count("grant.revoked") == 1


def test_refused_request_has_no_effect(server: OidcServer, client: PlainClient) -> None:
    token = client.tokens()["refresh_token"]
    server.refuse(1, status=503)
    refused = client.refresh(token)
    assert (refused.status_code, refused.content) == (503, b"")
    assert server.count("refresh_token.consumed") == 0
    assert client.refresh(token).is_success


def test_access_tokens_expire_on_time() -> None:
    with OidcServer(access_token_seconds=2) as server:
        client = PlainClient(server)
        tokens = []

        def used_in_time() -> bool:
            tokens.append(client.tokens()["access_token"])
            return client.userinfo(tokens[-1]).is_success  # on a busy machine, it may have expired on the way

        until(used_in_time)
        token = tokens[-1]
        until(lambda: not client.userinfo(token).is_success, pause=0.1)
        assert client.userinfo(token).status_code == 401


def test_revoking_the_refresh_token_revokes_the_grant(server: OidcServer, client: PlainClient) -> None:
    tokens = client.tokens()
    assert client.introspect(tokens["refresh_token"]).json()["active"] is True
    assert client.revoke(tokens["refresh_token"]).status_code == 200
    assert client.introspect(tokens["refresh_token"]).json() == {"active": False}
    assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert client.userinfo(tokens["access_token"]).status_code == 401
    assert server.count("grant.revoked") == 1


def test_device_flow_waits_for_the_user(server: OidcServer, client: PlainClient) -> None:
    device = client.device()
    assert "interval" not in device
    assert client.poll(device["device_code"]).json()["error"] == "authorization_pending"
    approve_device(device["verification_uri"], device["user_code"])
    tokens = client.poll(device["device_code"]).json()
    assert client.refresh(tokens["refresh_token"]).is_success
    assert server.count("device_code.consumed") == 1


def test_device_flow_with_the_code_in_the_url(client: PlainClient) -> None:
    device = client.device()
    approve_device(device["verification_uri_complete"], device["user_code"])
    assert client.poll(device["device_code"]).is_success


def test_a_denied_device_gets_the_error(client: PlainClient) -> None:
    device = client.device()
    approve_device(device["verification_uri"], device["user_code"], deny=True)
    assert client.poll(device["device_code"]).json()["error"] == "access_denied"


def test_a_device_code_expires() -> None:
    with OidcServer(device_code_seconds=1) as server:
        client = PlainClient(server)
        device = client.device()
        code = device["device_code"]
        until(lambda: client.poll(code).json()["error"] != "authorization_pending", pause=0.1)
        # The server forgets the code shortly after it has expired, and then treats it as unknown.
        assert client.poll(code).json()["error"] in {"expired_token", "invalid_grant"}


def test_resource_is_granted_with_its_scopes(client: PlainClient) -> None:
    tokens = client.tokens(resource=RESOURCE, scope="openid offline_access read")
    assert tokens["scope"] == "read"
    facts = client.introspect(tokens["access_token"]).json()
    assert (facts["aud"], facts["active"]) == (RESOURCE, True)


def test_events_contain_no_token(server: OidcServer, client: PlainClient) -> None:
    first = client.tokens()
    second = client.refresh(first["refresh_token"]).json()
    client.refresh(first["refresh_token"])
    text = json.dumps(server.events())
    for tokens in (first, second):
        for name in ("access_token", "refresh_token", "id_token"):
            assert tokens[name] not in text
    assert len({event["grant"] for event in server.events() if event["kind"] == "refresh_token.saved"}) == 1


def test_restarted_server_has_forgotten_every_grant() -> None:
    with OidcServer() as before:
        token = PlainClient(before).tokens()["refresh_token"]
        port = before.port
    with OidcServer(port=port) as after:
        assert PlainClient(after).refresh(token).json()["error"] == "invalid_grant"


def test_two_servers_share_nothing(server: OidcServer) -> None:
    with OidcServer() as other:
        assert other.issuer != server.issuer
        assert PlainClient(other).refresh(PlainClient(server).tokens()["refresh_token"]).status_code == 400


def test_server_that_cannot_start_raises_the_reason(server: OidcServer) -> None:
    with pytest.raises(RuntimeError, match="EADDRINUSE"), OidcServer(port=server.port):
        pass


HOLDER = """
import sys, time
from counterparts.oidc import OidcServer

with OidcServer() as server:
    print(server.issuer, flush=True)
    time.sleep(60)
"""


def test_the_server_ends_with_a_killed_test() -> None:
    require("oidc-provider")
    with killed_at_the_end(HOLDER) as issuer:
        assert httpx.get(f"{issuer}/_events", trust_env=False).json() == []
    until(lambda: not _answers(issuer), f"the end of {issuer}")


def _answers(issuer: str) -> bool:
    try:
        httpx.get(f"{issuer}/_events", trust_env=False)
    except httpx.TransportError:
        return False
    return True
