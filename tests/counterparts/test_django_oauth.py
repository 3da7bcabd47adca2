"""The behavior of django-oauth-toolkit that freshkey's tests rely on, checked without freshkey."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from counterparts.authentication import Authenticate, basic, post
from counterparts.client import UNUSED_REDIRECT, PlainClient
from counterparts.django_oauth import CLIENT_SECRET, DEVICE_CLIENT, MACHINE_CLIENT, WEB_CLIENT, DjangoServer
from counterparts.loopback import RedirectListener
from counterparts.pages import approve_device, authorize, sign_in
from counterparts.requires import require
from python_program import killed_at_the_end
from waiting import until


pytestmark = pytest.mark.counterpart

SCOPE = "openid profile email read"


def client_of(server: DjangoServer) -> PlainClient:
    return PlainClient(server, scope=SCOPE)


def device_client(server: DjangoServer) -> PlainClient:
    return PlainClient(server, client_id=DEVICE_CLIENT, scope=SCOPE)


def query_of(redirect: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(redirect).query))


def claims_of(token: str) -> dict[str, object]:
    claims: dict[str, object] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return claims


@pytest.fixture(scope="module")
def server() -> Iterator[DjangoServer]:
    """A server for the tests that count nothing."""
    with DjangoServer(access_token_seconds=60) as server:
        yield server


@pytest.fixture
def fresh() -> Iterator[DjangoServer]:
    """A server for a test that counts events, or makes requests fail."""
    with DjangoServer(access_token_seconds=60) as server:
        yield server


def test_metadata_have_an_issuer_with_a_path_and_lack_the_endpoints_of_other_grants(server: DjangoServer) -> None:
    metadata = httpx.get(f"{server.issuer}/.well-known/openid-configuration", trust_env=False).json()
    assert metadata["issuer"] == server.issuer == f"http://127.0.0.1:{server.port}/o"
    assert metadata["authorization_endpoint"] == server.url(server.paths["authorize"])
    assert metadata["token_endpoint"] == server.url(server.paths["token"])
    assert metadata["userinfo_endpoint"] == server.url(server.paths["userinfo"])
    assert metadata["token_endpoint_auth_methods_supported"] == ["client_secret_post", "client_secret_basic"]
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert metadata["id_token_signing_alg_values_supported"] == ["RS256", "HS256"]
    assert metadata["authorization_response_iss_parameter_supported"] is True
    absent = {"device_authorization_endpoint", "revocation_endpoint", "introspection_endpoint", "grant_types_supported"}
    assert absent.isdisjoint(metadata)


@pytest.mark.parametrize(
    "path", ["/.well-known/oauth-authorization-server/o", "/o/.well-known/oauth-authorization-server"]
)
def test_metadata_of_oauth_are_at_two_places_and_have_the_revocation_endpoint(server: DjangoServer, path: str) -> None:
    """RFC 8414, section 3.1, puts the well-known part before the path of the issuer."""
    metadata = httpx.get(server.url(path), trust_env=False).json()
    assert metadata["issuer"] == server.issuer
    assert metadata["revocation_endpoint"] == server.url(server.paths["revoke"])
    assert "device_authorization_endpoint" not in metadata


def test_sign_in_redirects_to_any_loopback_port_with_the_issuer(server: DjangoServer) -> None:
    client = client_of(server)
    with RedirectListener() as listener:
        sign_in(client.authorization_url(listener.redirect_uri))
        query = listener.wait()
    assert (query["state"], query["iss"]) == ("a-state", server.issuer)
    tokens = client.exchange(query["code"], listener.redirect_uri).json()
    assert (tokens["expires_in"], tokens["token_type"], tokens["scope"]) == (60, "Bearer", SCOPE)
    assert client.userinfo(tokens["access_token"]).json() == {
        "sub": "1",
        "name": "alice",
        "preferred_username": "alice",
        "email": "alice@example.test",
    }


def test_issuer_may_be_absent_from_the_redirect() -> None:
    with DjangoServer(issuer_in_redirect=False) as server:
        assert "iss" not in query_of(authorize(client_of(server).authorization_url(UNUSED_REDIRECT)))


def test_denied_sign_in_redirects_with_an_error(server: DjangoServer) -> None:
    redirect = authorize(client_of(server).authorization_url(UNUSED_REDIRECT), deny=True)
    assert query_of(redirect)["error"] == "access_denied"


def test_pkce_is_required(server: DjangoServer) -> None:
    client = client_of(server)
    without = client.authorization_url(UNUSED_REDIRECT, code_challenge="", code_challenge_method="")
    assert query_of(authorize(without))["error"] == "invalid_request"
    code = query_of(authorize(client.authorization_url(UNUSED_REDIRECT)))["code"]
    assert client_of(server).exchange(code, UNUSED_REDIRECT).json()["error"] == "invalid_grant"


def test_a_code_works_once(server: DjangoServer) -> None:
    client = client_of(server)
    code = query_of(authorize(client.authorization_url(UNUSED_REDIRECT)))["code"]
    assert client.exchange(code, UNUSED_REDIRECT).is_success
    assert client.exchange(code, UNUSED_REDIRECT).json()["error"] == "invalid_grant"


def test_id_token_is_signed_with_a_published_key_and_has_the_nonce(server: DjangoServer) -> None:
    tokens = client_of(server).tokens(nonce="a-nonce")
    header = json.loads(base64.urlsafe_b64decode(tokens["id_token"].split(".")[0] + "=="))
    keys = httpx.get(f"{server.issuer}/.well-known/jwks.json", trust_env=False).json()["keys"]
    assert (header["alg"], header["kid"]) == ("RS256", keys[0]["kid"])
    claims = claims_of(tokens["id_token"])
    assert (claims["iss"], claims["aud"], claims["sub"]) == (server.issuer, server.client_id, "1")
    assert claims["nonce"] == "a-nonce"


def test_each_refresh_returns_a_new_refresh_token_and_ends_the_old_access_token(fresh: DjangoServer) -> None:
    client = client_of(fresh)
    first = client.tokens()
    second = client.refresh(first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert client.userinfo(first["access_token"]).status_code == 401
    assert client.userinfo(second["access_token"]).is_success
    assert fresh.count("token", grant_type="authorization_code", status=200) == 1
    assert fresh.count("token", grant_type="refresh_token", status=200) == 1
    assert fresh.count("refresh_token.reused") == 0


def test_reuse_of_a_rotated_refresh_token_revokes_the_newest_tokens(fresh: DjangoServer) -> None:
    client = client_of(fresh)
    first = client.tokens()
    second = client.refresh(first["refresh_token"]).json()
    replay = client.refresh(first["refresh_token"])
    assert (replay.status_code, replay.json()["error"]) == (400, "invalid_grant")
    assert fresh.count("refresh_token.reused", accepted=False) == 1
    assert client.refresh(second["refresh_token"]).json()["error"] == "invalid_grant"
    assert client.userinfo(second["access_token"]).status_code == 401


def test_without_reuse_detection_the_newest_tokens_stay_valid() -> None:
    with DjangoServer(access_token_seconds=60, detect_reuse=False) as server:
        client = client_of(server)
        first = client.tokens()
        second = client.refresh(first["refresh_token"]).json()
        assert client.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
        assert client.refresh(second["refresh_token"]).is_success


def test_within_the_grace_period_a_repeated_request_gets_the_same_tokens() -> None:
    with DjangoServer(access_token_seconds=60, grace_seconds=3600) as server:
        client = client_of(server)
        first = client.tokens()
        second = client.refresh(first["refresh_token"]).json()
        again = client.refresh(first["refresh_token"]).json()
        assert again["refresh_token"] == second["refresh_token"]
        assert client.userinfo(again["access_token"]).is_success
        assert server.count("refresh_token.reused", accepted=True) == 1


def test_of_concurrent_refreshes_more_than_one_may_succeed(fresh: DjangoServer) -> None:
    """A request that was checked before another one rotated the token succeeds too; a later one is reuse."""
    client = client_of(fresh)
    token = client.tokens()["refresh_token"]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(client.refresh, [token] * 8))
    assert {answer.status_code for answer in answers} <= {200, 400}
    refused = sum(answer.status_code == 400 for answer in answers)
    assert refused < len(answers)
    assert fresh.count("refresh_token.reused", accepted=False) == refused
    assert client.refresh(token).json()["error"] == "invalid_grant"


def test_without_rotation_the_refresh_token_stays_the_same() -> None:
    with DjangoServer(rotate=False) as server:
        client = client_of(server)
        token = client.tokens()["refresh_token"]
        assert client.refresh(token).json()["refresh_token"] == token
        assert client.refresh(token).is_success


def test_request_with_a_lost_response_has_rotated_the_refresh_token(fresh: DjangoServer) -> None:
    client = client_of(fresh)
    token = client.tokens()["refresh_token"]
    fresh.lose_answers(1)
    with pytest.raises(httpx.TransportError):
        client.refresh(token)
    assert fresh.count("token", grant_type="refresh_token", status=200) == 1
    assert client.refresh(token).json()["error"] == "invalid_grant"
    assert fresh.count("refresh_token.reused") == 1


def test_refused_request_has_no_effect(fresh: DjangoServer) -> None:
    client = client_of(fresh)
    token = client.tokens()["refresh_token"]
    fresh.refuse(1, status=503)
    refused = client.refresh(token)
    assert (refused.status_code, refused.content) == (503, b"")
    assert client.refresh(token).is_success


def test_access_tokens_expire_on_time() -> None:
    with DjangoServer(access_token_seconds=2) as server:
        client = client_of(server)
        token = client.tokens()["access_token"]
        until(lambda: client.userinfo(token).status_code == 401, pause=0.1)


def test_revoked_refresh_token_ends_its_access_token(server: DjangoServer) -> None:
    client = client_of(server)
    tokens = client.tokens()
    assert client.revoke(tokens["refresh_token"]).status_code == 200
    assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert client.userinfo(tokens["access_token"]).status_code == 401


def test_revocation_of_an_unknown_token_succeeds(server: DjangoServer) -> None:
    assert client_of(server).revoke("no such token").status_code == 200


def test_device_flow_waits_for_the_user(fresh: DjangoServer) -> None:
    client = device_client(fresh)
    device = client.device()
    assert (device["interval"], device["expires_in"]) == (1, 1800)
    assert client.poll(device["device_code"]).json()["error"] == "authorization_pending"
    approve_device(device["verification_uri"], device["user_code"])
    tokens = client.poll(device["device_code"]).json()
    assert client.userinfo(tokens["access_token"]).json()["name"] == "alice"
    assert client.refresh(tokens["refresh_token"]).is_success
    assert fresh.count("device", status=200) == 1
    assert fresh.count("token", error="authorization_pending") == 1


def test_device_flow_with_the_code_in_the_url(server: DjangoServer) -> None:
    client = device_client(server)
    device = client.device()
    approve_device(device["verification_uri_complete"], device["user_code"])
    assert client.poll(device["device_code"]).is_success


def test_a_denied_device_gets_the_error(server: DjangoServer) -> None:
    client = device_client(server)
    device = client.device()
    approve_device(device["verification_uri"], device["user_code"], deny=True)
    assert client.poll(device["device_code"]).json()["error"] == "access_denied"


def test_an_expired_device_code_stays_pending() -> None:
    """RFC 8628, section 3.5, wants `expired_token`: a client of this server has to watch the time itself."""
    with DjangoServer(device_code_seconds=0) as server:
        client = device_client(server)
        device = client.device()
        assert device["expires_in"] == 0
        assert client.poll(device["device_code"]).json()["error"] == "authorization_pending"


@pytest.mark.parametrize("method", [basic, post])
def test_machine_gets_a_token_for_itself(server: DjangoServer, method: Callable[[str], Authenticate]) -> None:
    client = PlainClient(server, client_id=MACHINE_CLIENT, authenticate=method(CLIENT_SECRET))
    tokens = client.own_token(scope="read").json()
    assert (tokens["expires_in"], tokens["scope"]) == (60, "read")
    assert "refresh_token" not in tokens


def test_machine_with_a_wrong_secret_is_refused(server: DjangoServer) -> None:
    answer = PlainClient(server, client_id=MACHINE_CLIENT, authenticate=basic("wrong")).own_token(scope="read")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("method", [basic, post])
def test_confidential_client_signs_in_refreshes_and_revokes_with_its_secret(
    server: DjangoServer, method: Callable[[str], Authenticate]
) -> None:
    client = PlainClient(server, client_id=WEB_CLIENT, authenticate=method(CLIENT_SECRET), scope=SCOPE)
    token = client.tokens()["refresh_token"]
    without = PlainClient(server, client_id=WEB_CLIENT)
    assert without.refresh(token).json()["error"] == "invalid_client"
    renewed = client.refresh(token).json()["refresh_token"]
    assert client.revoke(renewed).status_code == 200
    assert client.refresh(renewed).json()["error"] == "invalid_grant"


def test_client_may_use_only_its_grant(server: DjangoServer) -> None:
    answer = PlainClient(server, client_id=DEVICE_CLIENT).own_token()
    assert answer.json()["error"] in {"unauthorized_client", "invalid_client"}


def test_events_contain_no_token(fresh: DjangoServer) -> None:
    client = client_of(fresh)
    first = client.tokens()
    second = client.refresh(first["refresh_token"]).json()
    client.refresh(first["refresh_token"])
    text = json.dumps(fresh.events())
    for tokens in (first, second):
        for name in ("access_token", "refresh_token", "id_token"):
            if name in tokens:
                assert tokens[name] not in text


def test_restarted_server_has_forgotten_every_grant() -> None:
    with DjangoServer() as before:
        token = client_of(before).tokens()["refresh_token"]
        port = before.port
    with DjangoServer(port=port) as after:
        assert client_of(after).refresh(token).json()["error"] == "invalid_grant"


def test_server_that_cannot_start_raises_the_reason(server: DjangoServer) -> None:
    with pytest.raises(RuntimeError, match="in use"), DjangoServer(port=server.port):
        pass


HOLDER = """
import sys, time
from counterparts.django_oauth import DjangoServer

with DjangoServer() as server:
    print(server.issuer, server._database, flush=True)
    time.sleep(60)
"""


def test_the_server_and_its_database_end_with_a_killed_test() -> None:
    require("django-oauth-toolkit")
    with killed_at_the_end(HOLDER) as line:
        issuer, folder = line.split()
        events = issuer.removesuffix("/o") + "/_events"
        assert httpx.get(events, trust_env=False).json() == []
        assert Path(folder).exists()
    until(lambda: not _answers(events), f"the end of {issuer}")
    until(lambda: not Path(folder).exists(), f"the end of {folder}")


def _answers(url: str) -> bool:
    try:
        httpx.get(url, trust_env=False)
    except httpx.TransportError:
        return False
    return True
