"""Authorization code with PKCE (RFC 6749, section 4.1; RFC 7636), with an independent client."""

from __future__ import annotations

import pytest

from freshkey_testing import Account, AuthorizationServer, ManualClock, Policy
from freshkey_testing.browser import copy_address, copy_code, follow, visit
from plain_client import VERIFIER, PlainClient


def test_a_sign_in_returns_tokens_and_the_account(server: AuthorizationServer, client: PlainClient) -> None:
    server.account = Account(email="bo@example.com", organization="Bo's")
    callback = client.authorize()
    assert callback["state"] == "the-state"
    assert "iss" not in callback
    reply = client.exchange(callback["code"])
    assert reply.headers["cache-control"] == "no-store"
    tokens = reply.json
    assert tokens["token_type"] == "Bearer"
    assert tokens["expires_in"] == 3600
    assert tokens["scope"] == "user:profile user:inference"
    assert tokens["account"]["email_address"] == "bo@example.com"
    assert tokens["organization"]["name"] == "Bo's"
    assert client.works(tokens["access_token"])
    assert [entry.kind for entry in server.log] == [
        "authorization.approved",
        "grant.authorization_code",
        "resource.read",
    ]


def test_the_code_exchange_accepts_json(server: AuthorizationServer, client: PlainClient) -> None:
    code = client.authorize()["code"]
    reply = client.post_json(
        server.urls.token,
        grant_type="authorization_code",
        code=code,
        code_verifier=VERIFIER,
        redirect_uri="http://127.0.0.1:1/callback",
        number=5,
    )
    assert reply.status == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": "another-verifier"}, "invalid_grant"),
        ({"redirect_uri": "http://127.0.0.1:2/callback"}, "invalid_grant"),
        ({"client_id": "another-client"}, "invalid_client"),
        ({"code_verifier": ""}, "invalid_request"),
        ({"code": "no-such-code"}, "invalid_grant"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_a_code_exchange_that_does_not_match_is_refused(
    server: AuthorizationServer, client: PlainClient, changes: dict[str, str], error: str
) -> None:
    reply = client.exchange(**{"code": client.authorize()["code"], **changes})
    assert reply.status == (401 if error == "invalid_client" else 400)
    assert reply.json["error"] == error
    assert server.log[-1].kind == "request.refused"
    assert server.log[-1].detail == error
    assert server.count("grant.authorization_code") == 0


def test_using_a_code_twice_revokes_its_grant(server: AuthorizationServer, client: PlainClient) -> None:
    code = client.authorize()["code"]
    tokens = client.exchange(code).json
    assert client.exchange(code).json["error"] == "invalid_grant"
    assert not client.works(tokens["access_token"])
    assert client.renew(tokens["refresh_token"]).status == 400
    assert server.count("code.reused") == 1
    client.exchange(code)
    assert server.count("grant.revoked") == 1


def test_codes_expire() -> None:
    clock = ManualClock()
    with AuthorizationServer(Policy(code_lifetime=10), clock=clock) as server:
        client = PlainClient(server)
        code = client.authorize()["code"]
        clock.advance(10)
        assert client.exchange(code).json["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge_method": "plain"},
        {"code_challenge": "short"},
        {"response_type": "token"},
    ],
)
def test_an_authorization_request_without_s256_is_refused_by_redirect(
    client: PlainClient, changes: dict[str, str]
) -> None:
    assert client.authorize(**changes)["error"] == "invalid_request"


@pytest.mark.parametrize("changes", [{"client_id": "another-client"}, {"redirect_uri": "https://example.com/"}])
def test_unknown_clients_and_redirects_are_never_redirected(client: PlainClient, changes: dict[str, str]) -> None:
    page = visit(client.authorize_url(**changes))
    assert (page.status, page.location) == (400, None)


def test_a_repeated_parameter_is_refused(client: PlainClient) -> None:
    assert visit(f"{client.authorize_url()}&state=other").status == 400


def test_consent_can_be_denied(server: AuthorizationServer, client: PlainClient) -> None:
    server.policy.consent = "deny"
    assert client.authorize() == {"error": "access_denied", "state": "the-state"}
    assert server.count("authorization.denied") == 1


def test_consent_can_be_given_on_a_page(server: AuthorizationServer, client: PlainClient) -> None:
    server.policy.consent = "page"
    page = visit(client.authorize_url())
    assert 'id="approve"' in page.text
    assert 'id="deny"' in page.text
    approved = visit(f"{client.authorize_url()}&decision=approve")
    assert approved.location is not None
    assert "code=" in approved.location


def test_the_redirect_can_contain_the_issuer(server: AuthorizationServer, client: PlainClient) -> None:
    server.policy.iss_in_callback = True
    assert client.authorize()["iss"] == server.urls.issuer


def test_state_in_the_body_can_be_required(server: AuthorizationServer, client: PlainClient) -> None:
    server.policy.state_in_body = True
    assert client.exchange(client.authorize()["code"]).json["error"] == "oauth_request_parse_error"
    assert client.exchange(client.authorize()["code"], state="other").json["error"] == "invalid_grant"
    assert client.exchange(client.authorize()["code"], state="the-state").status == 200


def test_the_code_can_be_copied_from_a_page(server: AuthorizationServer, client: PlainClient) -> None:
    code, _, state = copy_code([client.authorize_url(redirect_uri=server.urls.paste)]).partition("#")
    assert state == "the-state"
    assert client.exchange(code, redirect_uri=server.urls.paste).status == 200


def test_the_redirect_url_can_be_copied_without_opening_it(client: PlainClient) -> None:
    address = copy_address([client.authorize_url(redirect_uri="http://127.0.0.1:1/callback?a=b")])
    assert address.startswith("http://127.0.0.1:1/callback?a=b&code=")


def test_follow_ends_at_the_client_s_redirect_uri(server: AuthorizationServer, client: PlainClient) -> None:
    page = follow(client.authorize_url(redirect_uri=f"{server.urls.issuer}/mine"))
    assert page.url.startswith(f"{server.urls.issuer}/mine?code=")


@pytest.mark.parametrize("path", ["oauth-authorization-server", "openid-configuration"])
def test_the_metadata_contains_every_endpoint(server: AuthorizationServer, client: PlainClient, path: str) -> None:
    metadata = client.request("GET", f"{server.urls.issuer}/.well-known/{path}").json
    assert metadata["issuer"] == server.urls.issuer
    assert metadata["token_endpoint"] == server.urls.token
    assert metadata["authorization_endpoint"] == server.urls.authorize
    assert metadata["revocation_endpoint"] == server.urls.revoke
    assert metadata["device_authorization_endpoint"] == server.urls.device
    assert metadata["code_challenge_methods_supported"] == ["S256"]


def test_the_token_response_can_have_other_fields(server: AuthorizationServer, client: PlainClient) -> None:
    server.token_fields = lambda account: {"note": account.email}
    tokens = client.sign_in()
    assert tokens["note"] == server.account.email
    assert "organization" not in tokens


def test_an_unreadable_body_is_refused(server: AuthorizationServer, client: PlainClient) -> None:
    url = server.urls.token
    for body, kind in [
        (b"[1]", "application/json"),
        (b"{", "application/json"),
        (b"\xff", "application/x-www-form-urlencoded"),
        (b"a=1&a=2", "application/x-www-form-urlencoded"),
        (b"a=1", "text/plain"),
    ]:
        assert client.request("POST", url, body, Content_Type=kind).json["error"] == "invalid_request"
    assert client.request("GET", url).json["error"] == "invalid_request"


def test_the_settings_are_those_of_a_profile(server: AuthorizationServer) -> None:
    settings = server.settings()
    assert settings["token_url"] == server.urls.token
    assert settings["allow_insecure_loopback"] is True
    assert set(settings) == {
        "client_id",
        "authorize_url",
        "token_url",
        "revoke_url",
        "device_url",
        "profile_url",
        "allow_insecure_loopback",
    }
