"""The user signs in by redirect, by pasted code or on another device, and nothing hangs without a user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from attrs import evolve

import freshkey_claude_oauth as provider
from free_port import free_port
from freshkey.errors import FreshkeyError, LoginRequired, ProviderRefused, TransientError
from freshkey.model.identity import Identity
from freshkey.model.interaction import NonInteractive
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey_claude_oauth import settings
from freshkey_claude_oauth.formats import ClaudeToken
from freshkey_claude_oauth.signin import sign_in
from freshkey_claude_oauth.token_response import DEFAULT_LIFETIME
from freshkey_testing import Account, AuthorizationServer, ManualClock, ScriptedUser
from freshkey_testing.browser import approve_device, copy_address, copy_code, follow
from raises_code import raises_code


MakeProfile = Callable[..., Profile]


def bodies(server: AuthorizationServer, path: str) -> list[dict[str, list[str]]]:
    return [parse_qs(asked.body.decode()) for asked in server.requests if asked.path == path]


def test_hook_signs_in_by_redirect(server: AuthorizationServer, profile: Profile, oauth: Source) -> None:
    with ScriptedUser(browser=follow) as user:
        token = provider.acquire(profile=profile, source=oauth, interaction=user)
    assert isinstance(token, ClaudeToken)
    assert token.source == "oauth"
    assert token.renewable
    assert token.scopes == settings.SCOPES
    assert (token.client_id, token.token_endpoint, token.issuer) == (server.client_id, server.urls.token, None)
    assert token.lifetime == 3600.0
    assert server.count("grant.authorization_code") == 1


def test_authorization_request_is_as_documented(server: AuthorizationServer, profile: Profile) -> None:
    with ScriptedUser(browser=follow) as user:
        sign_in(profile, user)
    query = parse_qs(urlsplit(user.opened[0]).query)
    assert query["scope"] == ["user:profile user:inference user:developer"]
    assert query["code_challenge_method"] == ["S256"]
    assert urlsplit(query["redirect_uri"][0]).hostname == "localhost"
    assert urlsplit(query["redirect_uri"][0]).path == "/callback"
    exchange = bodies(server, "/v1/oauth/token")[0]
    assert exchange["state"] == query["state"]
    assert exchange["redirect_uri"] == query["redirect_uri"]


def test_the_redirect_port_of_the_profile_is_used(profile: Profile) -> None:
    port = free_port()
    with ScriptedUser(browser=follow) as user:
        sign_in(evolve(profile, redirect_port=port), user)
    assert parse_qs(urlsplit(user.opened[0]).query)["redirect_uri"] == [f"http://localhost:{port}/callback"]


def test_beta_header_is_not_sent_with_the_code_exchange(server: AuthorizationServer, profile: Profile) -> None:
    with ScriptedUser(browser=follow) as user:
        sign_in(profile, user)
    sent = {asked.path: asked.headers.get("anthropic-beta") for asked in server.requests}
    assert sent["/v1/oauth/token"] is None
    assert sent["/api/oauth/profile"] == "oauth-2025-04-20"


def test_additional_parameters_and_redirect_are_configurable(
    server: AuthorizationServer, make_profile: MakeProfile
) -> None:
    chosen = make_profile(
        **server.settings(),
        scopes=("user:profile",),
        authorize_parameters={"workspace_id": "w-1"},
        redirect_host="127.0.0.1",
        redirect_path="/freshkey/claude",
    )
    with ScriptedUser(browser=follow) as user:
        token = sign_in(chosen, user)
    query = parse_qs(urlsplit(user.opened[0]).query)
    assert query["workspace_id"] == ["w-1"]
    assert urlsplit(query["redirect_uri"][0]).path == "/freshkey/claude"
    assert urlsplit(query["redirect_uri"][0]).hostname == "127.0.0.1"
    assert token.scopes == ("user:profile",)


def test_code_is_pasted_from_the_page_that_shows_it(server: AuthorizationServer, make_profile: MakeProfile) -> None:
    chosen = make_profile(**server.settings(), paste_redirect_url=server.urls.paste)
    with ScriptedUser(paste=copy_code) as user:
        token = sign_in(chosen, user)
    assert token.identity.email == server.account.email
    # The exchange uses the redirect URI of the path that completed.
    assert bodies(server, "/v1/oauth/token")[0]["redirect_uri"] == [server.urls.paste]


def test_redirect_url_can_be_pasted(server: AuthorizationServer, profile: Profile) -> None:
    with ScriptedUser(paste=copy_address) as user:
        assert sign_in(profile, user).identity.email == server.account.email


def test_code_exchange_uses_json_if_configured(server: AuthorizationServer, make_profile: MakeProfile) -> None:
    with ScriptedUser(browser=follow) as user:
        sign_in(make_profile(**server.settings(), encoding="json"), user)
    asked = next(asked for asked in server.requests if asked.path == "/v1/oauth/token")
    assert asked.headers["content-type"] == "application/json"


def test_device_sign_in(server: AuthorizationServer, make_profile: MakeProfile) -> None:
    chosen = make_profile(**server.settings(), flow="device")
    with ScriptedUser(device=approve_device) as user:
        token = sign_in(chosen, user)
    assert token.identity.extra["plan"] == "max"
    assert user.device_codes[0][1] == server.urls.device_page
    assert server.count("grant.device_code") == 1


def test_issuer_metadata_replaces_the_urls(server: AuthorizationServer, make_profile: MakeProfile) -> None:
    chosen = make_profile(client_id=server.client_id, issuer=server.urls.issuer, allow_insecure_loopback=True)
    with ScriptedUser(browser=follow) as user:
        token = sign_in(chosen, user)
    assert (token.issuer, token.token_endpoint) == (server.urls.issuer, server.urls.token)


# --- identity -------------------------------------------------------------------------------------------------------


def test_account_organization_plan_and_tier_are_read(server: AuthorizationServer, profile: Profile) -> None:
    with ScriptedUser(browser=follow) as user:
        token = sign_in(profile, user)
    ada = server.account
    assert token.identity == Identity(
        account=ada.id,
        email=ada.email,
        organization=ada.organization_id,
        extra={"organization_name": ada.organization, "plan": "max", "rate_limit_tier": "default_claude_max_5x"},
    )


def unreadable(server: AuthorizationServer) -> None:
    server.next_response(200, "<html>", endpoint="profile")


@pytest.mark.parametrize(
    "fault",
    [
        lambda server: server.fail_with(500, endpoint="profile"),
        lambda server: server.drop_next_request(endpoint="profile"),
        lambda server: server.next_response(302, headers={"Location": "/"}, endpoint="profile"),
        unreadable,
    ],
    ids=["500", "dropped", "redirect", "unreadable"],
)
def test_failing_profile_request_does_not_fail_the_sign_in(
    server: AuthorizationServer, profile: Profile, fault: Callable[[AuthorizationServer], None]
) -> None:
    fault(server)
    with ScriptedUser(browser=follow) as user:
        token = sign_in(profile, user)
    assert token.identity.email == server.account.email
    assert token.identity.extra.get("plan") is None
    assert any("plan" in notice for notice in user.notices)


def test_missing_profile_scope_does_not_fail_the_sign_in(
    server: AuthorizationServer, make_profile: MakeProfile
) -> None:
    with ScriptedUser(browser=follow) as user:
        token = sign_in(make_profile(**server.settings(), scopes=("user:inference",)), user)
    assert token.identity.extra["organization_name"] == server.account.organization
    assert any("403" in notice for notice in user.notices)


def test_identity_is_the_account_that_approved(server: AuthorizationServer, profile: Profile) -> None:
    server.account = Account(email="bob@example.com", id="b-1", plan="team")
    with ScriptedUser(browser=follow) as user:
        identity = sign_in(profile, user).identity
    assert (identity.email, identity.account, identity.extra["plan"]) == ("bob@example.com", "b-1", "team")


# --- failures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flow", ["browser", "device"])
def test_sign_in_without_a_user_fails_immediately(
    server: AuthorizationServer, make_profile: MakeProfile, oauth: Source, flow: str
) -> None:
    with raises_code(LoginRequired, "not-signed-in") as caught:
        provider.acquire(
            profile=make_profile(**server.settings(), flow=flow), source=oauth, interaction=NonInteractive("me")
        )
    assert "freshkey login me" in str(caught.value)
    assert server.count("authorization.approved") == 0


@pytest.mark.parametrize("client_id", [None, ""])
def test_missing_client_id_is_an_error_that_says_where_to_set_it(
    make_profile: MakeProfile, client_id: str | None
) -> None:
    with raises_code(ProviderRefused, "client-id-missing") as caught:
        sign_in(make_profile(client_id=client_id), NonInteractive("me"))
    assert "[profiles.me] in config.toml" in str(caught.value)
    assert "freshkey login me --api-key" in str(caught.value)


@pytest.mark.parametrize("restricted", [{"source": "oauth"}, {"skip": ("stored-api-key",)}])
def test_missing_client_id_suggests_no_key_that_the_profile_would_not_use(
    make_profile: MakeProfile, restricted: dict[str, Any]
) -> None:
    with raises_code(ProviderRefused, "client-id-missing") as caught:
        sign_in(evolve(make_profile(client_id=None), **restricted), NonInteractive("me"))
    assert "--api-key" not in str(caught.value)


def test_user_declines_sign_in(server: AuthorizationServer, profile: Profile) -> None:
    server.policy.consent = "deny"
    user = ScriptedUser(browser=follow)
    with user, pytest.raises(LoginRequired):
        sign_in(profile, user)


def test_unknown_client_is_refused_permanently(server: AuthorizationServer, make_profile: MakeProfile) -> None:
    chosen = make_profile(**{**server.settings(), "client_id": "unknown", "flow": "device"})
    with pytest.raises(ProviderRefused) as caught:
        sign_in(chosen, ScriptedUser())
    assert "invalid_client" in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        ((503, "down"), TransientError, "metadata-unavailable"),
        ((200, "<html>"), ProviderRefused, "invalid-response"),
        ((302, ""), TransientError, "redirect-refused"),
    ],
    ids=["503", "unreadable", "redirect"],
)
def test_unavailable_or_invalid_metadata_fails_without_asking_the_user(
    server: AuthorizationServer,
    make_profile: MakeProfile,
    *,
    answer: tuple[int, str],
    error: type[FreshkeyError],
    code: str,
) -> None:
    for _ in range(2):
        server.next_response(*answer, endpoint="metadata")
    chosen = make_profile(client_id=server.client_id, issuer=server.urls.issuer, allow_insecure_loopback=True)
    with raises_code(error, code):
        sign_in(chosen, ScriptedUser())


def test_lost_metadata_response_is_transient(server: AuthorizationServer, make_profile: MakeProfile) -> None:
    server.drop_next_request(endpoint="metadata")
    chosen = make_profile(client_id=server.client_id, issuer=server.urls.issuer, allow_insecure_loopback=True)
    with raises_code(TransientError, "metadata-unavailable") as caught:
        sign_in(chosen, ScriptedUser())
    assert "127.0.0.1" in str(caught.value)


def test_metadata_of_another_issuer_is_refused(server: AuthorizationServer, make_profile: MakeProfile) -> None:
    issuer = server.urls.issuer.replace("127.0.0.1", "localhost")
    chosen = make_profile(client_id=server.client_id, issuer=issuer, allow_insecure_loopback=True)
    with raises_code(ProviderRefused, "metadata-issuer-mismatch") as caught:
        sign_in(chosen, ScriptedUser())
    assert "localhost" in str(caught.value)


def test_non_bearer_token_is_refused(server: AuthorizationServer, profile: Profile) -> None:
    server.next_response(200, '{"access_token": "at", "token_type": "DPoP", "expires_in": 60}')
    with ScriptedUser(browser=follow) as user, raises_code(ProviderRefused, "unsupported-token-type") as caught:
        sign_in(profile, user)
    assert "DPoP" in str(caught.value)


def test_token_without_expiration_gets_a_short_lifetime(
    server: AuthorizationServer, profile: Profile, clock: ManualClock
) -> None:
    server.next_response(200, '{"access_token": "at-only"}')
    server.fail_with(401, endpoint="profile")
    with ScriptedUser(browser=follow) as user:
        token = sign_in(evolve(profile, clock=clock), user)
    assert token.lifetime == DEFAULT_LIFETIME
    assert token.scopes == settings.SCOPES
    assert token.obtained == clock.now()
    assert not token.renewable
