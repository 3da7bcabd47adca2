"""The behavior of npm's oidc-provider that freshkey's tests rely on, checked without freshkey."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from counterparts.authentication import Authenticate, basic, nothing, post, private_key
from counterparts.client import UNUSED_REDIRECT, PlainClient
from counterparts.loopback import RedirectListener
from counterparts.oidc import RESOURCE, OidcServer, approve_device, authorize, sign_in
from counterparts.requires import require
from counterparts.signed import new_key, public
from python_program import killed_at_the_end
from waiting import until


pytestmark = pytest.mark.counterpart

SECRET = "s3cret +/%:~*&= that is longer than 32 characters"
KEY = new_key()
OTHER_RESOURCE = "https://other.example.test/"
METHODS: dict[str, Callable[[OidcServer], Authenticate]] = {
    "client_secret_basic": lambda server: basic(SECRET),
    "client_secret_post": lambda server: post(SECRET),
    "private_key_jwt": lambda server: private_key(KEY, server.issuer),
}


def confidential(method: str) -> dict[str, object]:
    """Return the metadata of a client that authenticates by this method."""
    shown = {"jwks": {"keys": [public(KEY)]}} if method == "private_key_jwt" else {"client_secret": SECRET}
    return {"client_id": f"app:{method}", "token_endpoint_auth_method": method, **shown}


def query_of(redirect: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(redirect).query))


def part_of(token: str, index: int) -> dict[str, Any]:
    part: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[index] + "=="))
    return part


@pytest.fixture
def server() -> Iterator[OidcServer]:
    with OidcServer(access_token_seconds=60) as server:
        yield server


@pytest.fixture(scope="module")
def rich() -> Iterator[OidcServer]:
    """A server with confidential clients and two resources, for tests that count nothing."""
    clients = [confidential(method) for method in METHODS]
    with OidcServer(access_token_seconds=60, clients=clients, resources=[RESOURCE, OTHER_RESOURCE]) as server:
        yield server


def app(server: OidcServer, method: str) -> PlainClient:
    """Return the client that authenticates by this method."""
    return PlainClient(server, client_id=f"app:{method}", authenticate=METHODS[method](server))


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
    assert query_of(redirect)["error"] == "access_denied"


def test_pkce_is_required(server: OidcServer, client: PlainClient) -> None:
    redirect = authorize(client.authorization_url(UNUSED_REDIRECT, code_challenge="", code_challenge_method=""))
    assert query_of(redirect)["error"] == "invalid_request"
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


def test_unknown_resource_is_refused(client: PlainClient) -> None:
    redirect = authorize(client.authorization_url(UNUSED_REDIRECT, resource="https://unknown.example.test/"))
    assert query_of(redirect)["error"] == "invalid_target"


def test_resource_must_be_named_again_for_the_code_only_if_there_are_several(rich: OidcServer) -> None:
    """RFC 8707, section 2.2; this server's access tokens are for one resource each."""
    client = PlainClient(rich)
    url = client.authorization_url(UNUSED_REDIRECT, resource=RESOURCE, scope="openid offline_access read")
    both = f"{url}&{urlencode({'resource': OTHER_RESOURCE})}"
    code = query_of(authorize(both))["code"]
    tokens = client.exchange(code, UNUSED_REDIRECT, resource=OTHER_RESOURCE).json()
    assert client.introspect(tokens["access_token"]).json()["aud"] == OTHER_RESOURCE
    renewed = client.refresh(tokens["refresh_token"], resource=RESOURCE).json()
    assert client.introspect(renewed["access_token"]).json()["aud"] == RESOURCE


@pytest.mark.parametrize("method", METHODS)
def test_confidential_client_signs_in_refreshes_and_revokes(rich: OidcServer, method: str) -> None:
    client = app(rich, method)
    tokens = client.tokens()
    renewed = client.refresh(tokens["refresh_token"]).json()["refresh_token"]
    assert client.revoke(renewed).status_code == 200
    assert client.refresh(renewed).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("method", METHODS)
def test_confidential_client_signs_in_on_a_device(rich: OidcServer, method: str) -> None:
    client = app(rich, method)
    device = client.device()
    approve_device(device["verification_uri"], device["user_code"])
    assert client.poll(device["device_code"]).is_success


@pytest.mark.parametrize("method", METHODS)
def test_confidential_client_gets_a_token_for_itself(rich: OidcServer, method: str) -> None:
    client = app(rich, method)
    tokens = client.own_token(resource=RESOURCE, scope="read").json()
    assert (tokens["expires_in"], tokens["scope"]) == (60, "read")
    assert "refresh_token" not in tokens
    assert client.introspect(tokens["access_token"]).json()["aud"] == RESOURCE


def test_confidential_client_without_or_with_wrong_authentication_is_refused(rich: OidcServer) -> None:
    ways = {
        "client_secret_basic": [nothing, basic("wrong"), private_key(KEY, rich.issuer)],
        "client_secret_post": [nothing, post("wrong")],
        "private_key_jwt": [
            nothing,
            private_key(new_key(), rich.issuer),
            private_key(KEY, "https://other.example.test"),
            private_key(KEY, rich.issuer, lifetime=-10),
            post(SECRET),
        ],
    }
    for method, wrong in ways.items():
        for authenticate in wrong:
            client = PlainClient(rich, client_id=f"app:{method}", authenticate=authenticate)
            answer = client.own_token()
            assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_secret_may_be_sent_either_way(rich: OidcServer) -> None:
    for method, other in {"client_secret_basic": post(SECRET), "client_secret_post": basic(SECRET)}.items():
        assert PlainClient(rich, client_id=f"app:{method}", authenticate=other).own_token().is_success


def test_assertion_works_once(rich: OidcServer) -> None:
    kept: dict[str, str] = {}

    def repeated(form: dict[str, str]) -> None:
        if not kept:
            private_key(KEY, rich.issuer)(form)
            kept.update(form)
        form.update({name: value for name, value in kept.items() if name.startswith("client_assertion")})

    client = PlainClient(rich, client_id="app:private_key_jwt", authenticate=repeated)
    assert client.own_token().is_success
    assert client.own_token().json()["error"] == "invalid_client"


def test_every_redirect_has_the_issuer(rich: OidcServer) -> None:
    client = PlainClient(rich)
    metadata = httpx.get(rich.url("/.well-known/openid-configuration"), trust_env=False).json()
    assert metadata["authorization_response_iss_parameter_supported"] is True
    assert query_of(authorize(client.authorization_url(UNUSED_REDIRECT)))["iss"] == rich.issuer
    assert query_of(authorize(client.authorization_url(UNUSED_REDIRECT), deny=True))["iss"] == rich.issuer


@pytest.mark.parametrize("method", [None, *METHODS])
def test_parameters_may_be_sent_ahead(rich: OidcServer, method: str | None) -> None:
    client = app(rich, method) if method else PlainClient(rich)
    redirect = query_of(authorize(client.pushed_url(UNUSED_REDIRECT)))
    assert (redirect["state"], redirect["iss"]) == ("a-state", rich.issuer)
    assert client.exchange(redirect["code"], UNUSED_REDIRECT).is_success


def test_answer_to_parameters_sent_ahead_says_for_how_long(rich: OidcServer) -> None:
    answer = PlainClient(rich).push(UNUSED_REDIRECT)
    assert answer.status_code == 201
    assert answer.json()["request_uri"].startswith("urn:ietf:params:oauth:request_uri:")
    assert answer.json()["expires_in"] == 60


def test_wrong_parameters_sent_ahead_are_refused_at_once(rich: OidcServer) -> None:
    answer = PlainClient(rich).push(UNUSED_REDIRECT, resource="https://unknown.example.test/")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_target")


def test_server_may_require_parameters_sent_ahead() -> None:
    with OidcServer(pushed="required") as server:
        metadata = httpx.get(server.url("/.well-known/openid-configuration"), trust_env=False).json()
        assert metadata["require_pushed_authorization_requests"] is True
        assert metadata["pushed_authorization_request_endpoint"] == server.url(server.paths["push"])
        client = PlainClient(server)
        assert query_of(authorize(client.authorization_url(UNUSED_REDIRECT)))["error"] == "invalid_request"
        assert "code" in query_of(authorize(client.pushed_url(UNUSED_REDIRECT)))


def test_server_may_not_know_parameters_sent_ahead() -> None:
    with OidcServer(pushed="off") as server:
        metadata = httpx.get(server.url("/.well-known/openid-configuration"), trust_env=False).json()
        assert "pushed_authorization_request_endpoint" not in metadata
        assert PlainClient(server).push(UNUSED_REDIRECT).status_code == 404


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_id_tokens_have_the_chosen_algorithm_and_lifetime(algorithm: Literal["RS256", "ES256", "EdDSA"]) -> None:
    with OidcServer(id_token_algorithm=algorithm, id_token_seconds=7) as server:
        token = PlainClient(server).tokens(nonce="a-nonce")["id_token"]
        (key,) = httpx.get(server.url("/jwks"), trust_env=False).json()["keys"]
        assert (part_of(token, 0)["alg"], part_of(token, 0)["kid"]) == (algorithm, key["kid"])
        claims = part_of(token, 1)
        assert (claims["iss"], claims["aud"], claims["nonce"]) == (server.issuer, server.client_id, "a-nonce")
        assert claims["exp"] - claims["iat"] == 7


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
