"""Signing in at IAM Identity Center, with a browser or a device code, and everything that can fail."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from attrs import evolve

from free_port import free_port
from freshkey.errors import (
    ConfigurationError,
    LoginRequired,
    ProtocolError,
    ProviderRefused,
    TransientError,
)
from freshkey.model.interaction import NonInteractive
from freshkey.model.profile import Profile
from freshkey_bedrock.sso import oidc
from freshkey_bedrock.sso.credential import SsoCredential
from freshkey_bedrock.sso.sign_in import sign_in
from freshkey_testing import ManualClock, ScriptedUser
from freshkey_testing.browser import approve_device, copy_address, follow
from freshkey_testing.secret_scan import assert_no_secret, secrets_of
from patience import Patience
from raises_code import raises_code
from sso_answers import answering
from sso_double import ACCOUNT, ROLE, START_URL, SsoDouble, fields_of


MakeProfile = Callable[..., Profile]


def by_browser(profile: Profile, clock: ManualClock) -> tuple[SsoCredential, ScriptedUser]:
    with ScriptedUser(browser=follow) as user:
        return sign_in(profile, user), user


def by_device(
    profile: Profile, clock: ManualClock, device: Callable[[str, str, str | None], object] = approve_device
) -> tuple[SsoCredential, ScriptedUser, list[float]]:
    with ScriptedUser(device=device) as user, Patience(clock) as patience:
        return sign_in(profile, user), user, patience.waited


def test_browser_sign_in_with_pkce(double: SsoDouble, profile: Profile, clock: ManualClock) -> None:
    credential, user = by_browser(profile, clock)
    asked = fields_of(user.opened[0])
    assert asked["scopes"] == "sso:account:access"
    assert "scope" not in asked
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"].startswith("http://127.0.0.1:")
    assert asked["redirect_uri"].endswith("/oauth/callback")
    assert credential.access_key_id.startswith("ASIA")
    assert credential.region == "us-east-1"
    assert credential.identity.organization == ACCOUNT
    assert credential.lifetime == pytest.approx(3600)
    assert credential.source == "sso"
    assert double.honors(credential.session.access_token.reveal())
    paths = [path for path, _ in double.bodies]
    assert paths == ["/client/register", "/token"]
    registration, exchange = (body for _, body in double.bodies)
    assert registration == {
        "clientName": "freshkey",
        "clientType": "public",
        "scopes": ["sso:account:access"],
        "grantTypes": ["authorization_code", "refresh_token"],
        "redirectUris": ["http://127.0.0.1/oauth/callback"],
        "issuerUrl": START_URL,
    }
    assert set(exchange) == {"clientId", "clientSecret", "grantType", "code", "redirectUri", "codeVerifier"}


def test_the_redirect_port_of_the_profile_is_used(profile: Profile, clock: ManualClock) -> None:
    port = free_port()
    _, user = by_browser(evolve(profile, redirect_port=port), clock)
    assert fields_of(user.opened[0])["redirect_uri"] == f"http://127.0.0.1:{port}/oauth/callback"


def test_user_without_a_local_browser_pastes_the_address(profile: Profile, clock: ManualClock) -> None:
    with ScriptedUser(paste=copy_address) as user:
        assert sign_in(profile, user).renewable
    assert len(user.prompts) == 1


def test_device_sign_in(double: SsoDouble, make_profile: MakeProfile, clock: ManualClock) -> None:
    double.knobs.pending, double.knobs.slow_downs = 2, 1
    credential, user, waited = by_device(make_profile(sso_flow="device"), clock)
    assert user.device_codes == [("ABCD-EFGH", f"{double.url}/device", f"{double.url}/device?user_code=ABCD-EFGH")]
    assert user.notices, "a warning about codes from someone else"
    assert waited[0] == pytest.approx(1)
    assert waited[-1] == pytest.approx(6), "slow_down adds five seconds permanently"
    assert double.honors(credential.session.access_token.reveal())
    started = next(body for path, body in double.bodies if path == "/device_authorization")
    assert set(started) == {"clientId", "clientSecret", "startUrl"}
    polls = [body for path, body in double.bodies if path == "/token"]
    assert {frozenset(poll) for poll in polls} == {frozenset({"clientId", "clientSecret", "grantType", "deviceCode"})}


def test_device_code_expires_if_not_entered(double: SsoDouble, make_profile: MakeProfile, clock: ManualClock) -> None:
    double.knobs.device_seconds = 60
    with raises_code(LoginRequired, "device-code-expired"):
        by_device(make_profile(sso_flow="device"), clock, lambda *_: None)


@pytest.mark.parametrize("flow", ["browser", "device"])
def test_user_declines(double: SsoDouble, make_profile: MakeProfile, clock: ManualClock, flow: str) -> None:
    double.knobs.denies = True
    profile = make_profile(sso_flow=flow)
    start = by_browser if flow == "browser" else by_device
    with pytest.raises(LoginRequired):
        start(profile, clock)
    assert double.count("/federation/credentials") == 0


def test_no_client_is_registered_without_a_user(double: SsoDouble, profile: Profile, clock: ManualClock) -> None:
    with raises_code(LoginRequired, "not-signed-in"):
        sign_in(profile, NonInteractive("work"))
    assert double.asked == []


@pytest.mark.parametrize("name", ["sso_start_url", "sso_region", "sso_account_id", "sso_role_name"])
def test_missing_setting_is_named(make_profile: MakeProfile, clock: ManualClock, name: str) -> None:
    none: dict[str, None] = {name: None}
    if name == "sso_region":
        none |= {"sso_oidc_url": None, "sso_portal_url": None}
    with raises_code(ConfigurationError, "bedrock-sso-not-configured") as caught:
        sign_in(make_profile(**none), ScriptedUser())
    assert caught.value.profile == "work"
    assert name in str(caught.value.hint)
    assert "[profiles.work]" in str(caught.value.hint)


def test_api_key_is_suggested_only_where_the_profile_would_use_it(
    make_profile: MakeProfile, clock: ManualClock
) -> None:
    profile = make_profile(sso_role_name=None)
    for one, suggested in (
        (evolve(profile, source=None), True),
        (evolve(profile, source="sso"), False),
        (evolve(profile, source=None, skip=("stored-api-key",)), False),
    ):
        with raises_code(ConfigurationError, "bedrock-sso-not-configured") as caught:
            sign_in(one, ScriptedUser())
        assert ("--api-key" in str(caught.value.hint)) == suggested


def test_role_that_the_user_does_not_have(make_profile: MakeProfile, clock: ManualClock) -> None:
    with raises_code(ProviderRefused, "bedrock-sso-role-refused") as caught:
        by_browser(make_profile(sso_role_name="Administrator"), clock)
    assert "'Administrator'" in caught.value.message
    assert ACCOUNT in caught.value.message


def test_another_start_url_is_refused(make_profile: MakeProfile, clock: ManualClock) -> None:
    wrong = make_profile(sso_flow="device", sso_start_url="https://other.awsapps.com/start")
    with raises_code(ProviderRefused, "request-refused"):
        by_device(wrong, clock)


def test_refused_registration_is_not_a_sign_in_problem() -> None:
    center = answering(b'{"error": "invalid_grant"}', 400)
    with raises_code(ProviderRefused, "bedrock-sso-registration-refused") as caught:
        oidc.register(center, "browser")
    assert "invalid_grant" in caught.value.message


def test_fragment_of_the_start_url_is_dropped(make_profile: MakeProfile, clock: ManualClock) -> None:
    credential, _ = by_browser(make_profile(sso_start_url=f"{START_URL}#/"), clock)
    assert credential.session.start_url == START_URL


def test_throttling_portal_is_a_temporary_failure(double: SsoDouble, profile: Profile, clock: ManualClock) -> None:
    double.knobs.portal_status = [429]
    with raises_code(TransientError, "server-unavailable"):
        by_browser(profile, clock)


BAD_RESPONSES = {
    "no client": ("/client/register", b"{}", "invalid-response"),
    "no client expiration": ("/client/register", b'{"clientId": "c", "clientSecret": "s"}', "invalid-response"),
    "no JSON": ("/client/register", b"<html>", "invalid-response"),
    "no token": ("/token", b"{}", "answered-in-between"),
    "no credentials": ("/federation/credentials", b"{}", "invalid-response"),
    "no expiration": (
        "/federation/credentials",
        b'{"roleCredentials": {"accessKeyId": "a", "secretAccessKey": "b", "sessionToken": "c"}}',
        "invalid-response",
    ),
    "line break in a key": (
        "/federation/credentials",
        b'{"roleCredentials": {"accessKeyId": "a\\n", "secretAccessKey": "b", "sessionToken": "c", "expiration": 9}}',
        "invalid-response",
    ),
}


@pytest.mark.parametrize(("path", "body", "code"), BAD_RESPONSES.values(), ids=BAD_RESPONSES)
def test_invalid_response_is_a_protocol_error(
    double: SsoDouble, profile: Profile, clock: ManualClock, *, path: str, body: bytes, code: str
) -> None:
    double.knobs.bodies[path] = body
    with raises_code(ProtocolError, code):
        by_browser(profile, clock)


def test_sign_in_with_another_token_type_is_refused(double: SsoDouble, profile: Profile, clock: ManualClock) -> None:
    double.knobs.bodies["/token"] = b'{"accessToken": "a", "tokenType": "DPoP", "expiresIn": 5}'
    with raises_code(ProviderRefused, "unsupported-token-type"):
        by_browser(profile, clock)


def test_sign_in_leaks_no_secret(profile: Profile, clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    credential, user = by_browser(profile, clock)
    secrets = secrets_of(credential)
    assert len(secrets) >= 5
    said = [*user.progress_messages, *user.notices, *user.prompts, *user.opened]
    assert_no_secret(repr(credential) + caplog.text + repr(said), secrets, "what is shown")


def test_user_sees_progress(profile: Profile, clock: ManualClock) -> None:
    _, user = by_browser(profile, clock)
    assert user.progress_messages == [
        "Registering a client with IAM Identity Center",
        "Signing in at 127.0.0.1",
        f"Signed in; getting credentials for role {ROLE}",
    ]


def test_aws_endpoint_variables_are_ignored(
    profile: Profile, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SSO", "AWS_ENDPOINT_URL_SSO_OIDC"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with ScriptedUser(browser=follow) as user:
        assert sign_in(profile, user).account_id == ACCOUNT
