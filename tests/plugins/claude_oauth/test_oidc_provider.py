"""The hooks against a third-party authorization server: oidc-provider, with rotation and reuse detection."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from attrs import evolve

import freshkey_claude_oauth as provider
from counterparts.client import PlainClient
from counterparts.oidc import OidcServer, approve_device, authorize, sign_in
from counterparts.pages import Visitor
from freshkey import Configuration, Keeper
from freshkey.clock import SystemClock
from freshkey.errors import LoginRequired, OutcomeUnknown, TransientError
from freshkey.model.credential import Credential
from freshkey.model.description import Inspection, Validity
from freshkey.model.interaction import LoggingReporter
from freshkey.model.profile import Profile
from freshkey.model.source import Source
from freshkey_claude_oauth.formats import ClaudeToken
from freshkey_claude_oauth.signin import sign_in as start_sign_in
from freshkey_claude_oauth.signout import revoke
from freshkey_testing import ScriptedUser


pytestmark = pytest.mark.counterpart

MakeProfile = Callable[..., Profile]


@pytest.fixture
def oidc() -> Iterator[OidcServer]:
    with OidcServer(access_token_seconds=600) as running:
        yield running


def profile_at(oidc: OidcServer, make_profile: MakeProfile, **more: object) -> Profile:
    return make_profile(
        client_id=oidc.client_id,
        issuer=oidc.issuer,
        profile_url=oidc.url("/me"),
        scopes=("openid", "offline_access"),
        authorize_parameters={"prompt": "consent"},  # without it this server does not grant offline_access
        allow_insecure_loopback=True,
        **more,
    )


@pytest.fixture
def chosen(oidc: OidcServer, make_profile: MakeProfile) -> Profile:
    return profile_at(oidc, make_profile)


def acquire(profile: Profile, source: Source, user: ScriptedUser) -> ClaudeToken:
    with user:
        token = provider.acquire(profile=profile, source=source, interaction=user)
    assert isinstance(token, ClaudeToken)
    return token


def refresh(profile: Profile, token: Credential) -> ClaudeToken:
    newer = provider.refresh(profile=profile, credential=token, reporter=LoggingReporter())
    assert isinstance(newer, ClaudeToken)
    return newer


def validity(profile: Profile, token: Credential) -> Validity:
    answer = provider.describe(profile=profile, credential=token)
    assert isinstance(answer, Inspection)
    return answer.validity


@pytest.fixture
def token(chosen: Profile, oauth: Source) -> ClaudeToken:
    return acquire(chosen, oauth, ScriptedUser(browser=sign_in))


def test_endpoints_come_from_metadata(oidc: OidcServer, token: ClaudeToken) -> None:
    assert (token.issuer, token.token_endpoint) == (oidc.issuer, oidc.url("/token"))
    assert token.lifetime == 600.0
    assert token.scopes == ("openid", "offline_access")
    assert oidc.count("grant.success", grant_type="authorization_code") == 1


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_redirect_works_with_either_loopback_name(
    oidc: OidcServer, make_profile: MakeProfile, oauth: Source, host: str
) -> None:
    acquire(profile_at(oidc, make_profile, redirect_host=host), oauth, ScriptedUser(browser=sign_in))
    assert oidc.count("grant.success", grant_type="authorization_code") == 1


def test_redirect_url_is_pasted(oidc: OidcServer, chosen: Profile, oauth: Source) -> None:
    token = acquire(chosen, oauth, ScriptedUser(paste=lambda urls: authorize(urls[0])))
    assert validity(chosen, token) is Validity.VALID


class HastyClock(SystemClock):
    """Polls fifty times as often as the server requests, which is every five seconds."""

    def wait(self, event: threading.Event, timeout: float) -> bool:
        return super().wait(event, timeout / 50)


def test_sign_in_on_another_device(oidc: OidcServer, make_profile: MakeProfile) -> None:
    chosen = profile_at(oidc, make_profile, flow="device")
    with ScriptedUser(device=lambda code, address, _: approve_device(address, code)) as user:
        token = start_sign_in(evolve(chosen, clock=HastyClock()), user)
    assert refresh(chosen, token).renewable
    assert oidc.count("grant.success", grant_type="urn:ietf:params:oauth:grant-type:device_code") == 1


def test_user_declines_sign_in(oidc: OidcServer, chosen: Profile, oauth: Source) -> None:
    user = ScriptedUser(browser=lambda url: sign_in(url, deny=True))
    with pytest.raises(LoginRequired):
        acquire(chosen, oauth, user)


def test_each_renewal_uses_one_refresh_token(oidc: OidcServer, chosen: Profile, token: ClaudeToken) -> None:
    newer = refresh(chosen, token)
    newest = refresh(chosen, newer)
    assert len({token.refresh_token, newer.refresh_token, newest.refresh_token}) == 3
    assert oidc.count("refresh_token.consumed") == 2
    assert oidc.count("grant.revoked") == 0
    assert validity(chosen, newest) is Validity.VALID


def test_used_refresh_token_requires_login(oidc: OidcServer, chosen: Profile, token: ClaudeToken) -> None:
    newer = refresh(chosen, token)
    with pytest.raises(LoginRequired) as caught:
        refresh(chosen, token)
    assert "invalid_grant" in str(caught.value)
    assert oidc.count("grant.revoked") == 1
    assert validity(chosen, newer) is Validity.REFUSED


def test_lost_response_leaves_outcome_unknown(oidc: OidcServer, chosen: Profile, token: ClaudeToken) -> None:
    oidc.lose_answers()
    with pytest.raises(OutcomeUnknown):
        refresh(chosen, token)
    assert oidc.count("refresh_token.consumed") == 1


def test_server_error_does_not_use_the_refresh_token(oidc: OidcServer, chosen: Profile, token: ClaudeToken) -> None:
    oidc.refuse(1)
    with pytest.raises(TransientError):
        refresh(chosen, token)
    assert refresh(chosen, token).renewable


def test_unreachable_server_is_transient(oidc: OidcServer, chosen: Profile, token: ClaudeToken) -> None:
    oidc.stop()
    with pytest.raises(TransientError):
        refresh(chosen, token)


def test_sign_out_revokes_both_tokens(oidc: OidcServer, chosen: Profile, token: ClaudeToken) -> None:
    assert validity(chosen, token) is Validity.VALID
    revoke(chosen, token)
    assert validity(chosen, token) is Validity.REFUSED
    with pytest.raises(LoginRequired):
        refresh(chosen, token)


def keeper_at(oidc: OidcServer, tmp_path: Path, **more: object) -> Keeper:
    table = {
        "provider": "claude_oauth",
        "store": "memory",
        "client_id": oidc.client_id,
        "issuer": oidc.issuer,
        "profile_url": oidc.url("/me"),
        "scopes": ["openid", "offline_access"],
        "authorize_parameters": {"prompt": "consent"},
        "allow_insecure_loopback": True,
        **more,
    }
    return Keeper(
        configuration=Configuration.of({"me": table}, state_dir=tmp_path), providers={"claude_oauth": provider}
    )


def sign_in_twice(keeper: Keeper, browser: Callable[[str], object]) -> tuple[Credential, Credential, ScriptedUser]:
    with ScriptedUser(browser=browser, confirm=True) as user:
        first = keeper.login("me", interaction=user)
        return first, keeper.login("me", interaction=user), user


def test_second_sign_in_in_another_browser_revokes_only_the_first(oidc: OidcServer, tmp_path: Path) -> None:
    with keeper_at(oidc, tmp_path) as keeper:
        first, second, user = sign_in_twice(keeper, sign_in)

        assert len(user.opened) == 2
        assert oidc.count("grant.revoked") == 1
        assert userinfo(oidc, first) == 401
        assert userinfo(oidc, second) == 200
        assert keeper.refresh("me").token != second.token


def test_second_sign_in_in_the_same_browser_survives(oidc: OidcServer, tmp_path: Path) -> None:
    """This server has one grant for all sign-ins of a browser session, so revoking the first one ends the second."""
    with keeper_at(oidc, tmp_path) as keeper:
        first, second, user = sign_in_twice(keeper, SameBrowser())

        assert len(user.opened) == 3
        assert userinfo(oidc, first) == 401
        assert userinfo(oidc, second) == 200
        assert keeper.refresh("me").token != second.token


def test_a_setting_avoids_ending_both_sign_ins(oidc: OidcServer, tmp_path: Path) -> None:
    with keeper_at(oidc, tmp_path, revoke_replaced=False) as keeper:
        _, second, user = sign_in_twice(keeper, SameBrowser())

        assert len(user.opened) == 2
        assert oidc.count("grant.revoked") == 0
        assert userinfo(oidc, second) == 200
        assert "not revoked" in user.notices[-1]


class SameBrowser:
    """A browser that keeps its cookies, and so its session at the server."""

    def __init__(self) -> None:
        self._cookies = httpx.Cookies()

    def __call__(self, url: str) -> None:
        visitor = Visitor(url, cookies=self._cookies)
        httpx.get(visitor.walk(url), trust_env=False, timeout=20)


def userinfo(oidc: OidcServer, credential: Credential) -> int:
    assert credential.token is not None
    return PlainClient(oidc).userinfo(credential.token.reveal()).status_code
