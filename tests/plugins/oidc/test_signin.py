"""Signing in at a scripted issuer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import freshkey_oidc
from freshkey.errors import ConfigurationError, LoginRequired
from freshkey.model.interaction import NonInteractive
from freshkey.model.profile import Profile
from freshkey_oidc.formats import OidcToken
from freshkey_oidc.sources import SIGN_IN
from freshkey_testing import ManualClock, ScriptedUser
from scripted_issuer import CLIENT, DEVICE_GRANT, ISSUER, ScriptedIssuer


MakeProfile = Callable[..., Profile]


def sign_in(profile: Profile, issuer: ScriptedIssuer, **changes: str) -> OidcToken:
    with issuer.user(**changes) as user:
        token = freshkey_oidc.acquire(profile, SIGN_IN, user)
    assert isinstance(token, OidcToken)
    return token


def test_a_sign_in_has_its_tokens_its_endpoints_and_its_user(profile: Profile, issuer: ScriptedIssuer) -> None:
    token = sign_in(profile, issuer)

    assert (token.issuer, token.client_id) == (ISSUER, CLIENT)
    assert token.token_endpoint == f"{ISSUER}/token"
    assert token.revocation_endpoint == f"{ISSUER}/revocation"
    assert (token.identity.account, token.identity.display_name) == ("user-1", "Ada")
    assert token.lifetime == 3600.0
    assert token.renewable


def test_a_nonce_ties_the_id_token_to_the_sign_in(make_profile: Callable[..., Profile], issuer: ScriptedIssuer) -> None:
    sign_in(make_profile(), issuer)
    assert issuer.nonce is not None
    sign_in(make_profile(scopes=("read",)), issuer)
    assert issuer.nonce is None


def asked_in_browser(profile: Profile, issuer: ScriptedIssuer) -> tuple[str, dict[str, list[str]]]:
    """Sign in, and return where the browser went, and with which parameters."""
    with issuer.user() as user:
        freshkey_oidc.acquire(profile, SIGN_IN, user)
    address = urlsplit(user.opened[-1])
    return f"{address.scheme}://{address.netloc}{address.path}", parse_qs(address.query)


# --- in the browser --------------------------------------------------------------------------------------------------


def test_browser_gets_a_code_with_pkce_and_the_code_is_exchanged(profile: Profile, issuer: ScriptedIssuer) -> None:
    address, parameters = asked_in_browser(profile, issuer)
    assert address == f"{ISSUER}/authorization"
    assert parameters["response_type"] == ["code"]
    assert parameters["scope"] == ["openid offline_access"]
    assert parameters["code_challenge_method"] == ["S256"]
    (form,) = issuer.asked
    assert form["grant_type"] == ["authorization_code"]
    assert form["code"] == ["a-code"]
    assert form["redirect_uri"] == parameters["redirect_uri"]
    assert form["code_verifier"]


def test_resource_is_named_in_both_requests_and_an_audience_in_the_first(
    make_profile: MakeProfile, issuer: ScriptedIssuer
) -> None:
    profile = make_profile(resource=("https://a.test", "https://b.test"), audience=("c",))
    _, parameters = asked_in_browser(profile, issuer)
    assert (parameters["resource"], parameters["audience"]) == (["https://a.test", "https://b.test"], ["c"])
    assert issuer.asked[0]["resource"] == ["https://a.test", "https://b.test"]
    assert "audience" not in issuer.asked[0]


def test_parameters_of_the_settings_are_added(make_profile: MakeProfile, issuer: ScriptedIssuer) -> None:
    more = {"prompt": "consent", "access_type": "offline"}
    _, parameters = asked_in_browser(make_profile(authorization_parameters=more), issuer)
    assert {name: parameters[name] for name in more} == {"prompt": ["consent"], "access_type": ["offline"]}


@pytest.mark.parametrize("name", ["state", "code_challenge", "client_id", "redirect_uri", "scope", "response_type"])
def test_parameters_of_the_protocol_cannot_be_replaced(
    make_profile: MakeProfile, issuer: ScriptedIssuer, name: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        asked_in_browser(make_profile(authorization_parameters={name: "mine"}), issuer)
    assert name in caught.value.message
    assert issuer.asked == []


@pytest.mark.parametrize(
    ("settings", "host", "path"),
    [
        ({}, "127.0.0.1", "/callback"),
        ({"redirect_host": "localhost", "redirect_path": "/"}, "localhost", "/"),
        ({"redirect_path": "/signed/in"}, "127.0.0.1", "/signed/in"),
    ],
    ids=str,
)
def test_redirect_is_as_registered(
    make_profile: MakeProfile, issuer: ScriptedIssuer, settings: dict[str, Any], host: str, path: str
) -> None:
    _, parameters = asked_in_browser(make_profile(**settings), issuer)
    redirect = urlsplit(parameters["redirect_uri"][0])
    assert (redirect.scheme, redirect.hostname, redirect.path) == ("http", host, path)


def test_request_is_pushed_where_the_metadata_offer_it(profile: Profile, issuer: ScriptedIssuer) -> None:
    issuer.metadata["pushed_authorization_request_endpoint"] = f"{ISSUER}/par"
    reference = "urn:ietf:params:oauth:request_uri:1"
    issuer.http.on("POST", f"{ISSUER}/par", status=201, json={"request_uri": reference, "expires_in": 60})
    issuer.id_token = lambda _: None
    pushed: dict[str, list[str]] = {}

    def redirected(_: object) -> str:
        body = next(request.body for request in issuer.http.requests if request.url == f"{ISSUER}/par")
        pushed.update(parse_qs(body.decode()))
        return f"{pushed['redirect_uri'][0]}?code=a-code&state={pushed['state'][0]}&iss={ISSUER}"

    with ScriptedUser(paste=redirected) as user:
        freshkey_oidc.acquire(profile, SIGN_IN, user)
    assert parse_qs(urlsplit(user.opened[-1]).query) == {"client_id": [CLIENT], "request_uri": [reference]}
    assert pushed["scope"] == ["openid offline_access"]
    assert pushed["nonce"]


def test_without_a_user_nothing_is_sent(make_profile: MakeProfile, issuer: ScriptedIssuer) -> None:
    for flow in ("browser", "device"):
        with pytest.raises(LoginRequired):
            freshkey_oidc.acquire(make_profile(flow=flow), SIGN_IN, NonInteractive("test"))
    assert issuer.http.requests == []


# --- on another device -----------------------------------------------------------------------------------------------


@pytest.fixture
def device(freshkey_user: Callable[..., ScriptedUser], freshkey_clock: ManualClock) -> ScriptedUser:
    """Return a user who enters the code on another device until the first poll."""

    def enter(*_: object) -> None:
        freshkey_clock.wait_until_waiting()
        freshkey_clock.advance(5.0)

    return freshkey_user(device=enter)


def test_device_shows_a_code_and_gets_the_tokens_of_its_user(
    make_profile: MakeProfile, issuer: ScriptedIssuer, device: ScriptedUser
) -> None:
    profile = make_profile(flow="device", resource=("https://a.test",), audience=("b",), client_id=CLIENT)
    token = freshkey_oidc.acquire(profile, SIGN_IN, device)
    assert device.device_codes == [("ABCD-EFGH", f"{ISSUER}/device", None)]
    begin = next(request for request in issuer.http.requests if request.url == f"{ISSUER}/device_authorization")
    fields = parse_qs(begin.body.decode())
    assert fields == {
        "client_id": [CLIENT],
        "scope": ["openid offline_access"],
        "resource": ["https://a.test"],
        "audience": ["b"],
    }
    (form,) = issuer.asked
    assert (form["grant_type"], form["device_code"]) == ([DEVICE_GRANT], ["a-device-code"])
    assert (token.identity.account, token.renewable) == ("user-1", True)


def test_device_endpoint_of_the_settings_is_used_if_the_metadata_have_none(
    make_profile: MakeProfile, issuer: ScriptedIssuer, device: ScriptedUser
) -> None:
    del issuer.metadata["device_authorization_endpoint"]
    profile = make_profile(flow="device", device_authorization_endpoint=f"{ISSUER}/device_authorization")
    assert freshkey_oidc.acquire(profile, SIGN_IN, device).renewable


def test_no_setting_replaces_the_nonce(make_profile: Callable[..., Profile], issuer: ScriptedIssuer) -> None:
    sign_in(make_profile(authorization_parameters={"nonce": "always-this", "prompt": "consent"}), issuer)
    assert issuer.nonce not in (None, "always-this")


@pytest.mark.parametrize(
    ("refresh_token", "scopes", "told"),
    [(None, None, True), (None, ("openid",), True), ("refresh-1", None, False)],
    ids=["not granted", "not requested", "granted"],
)
def test_user_is_told_that_a_sign_in_cannot_be_renewed(
    make_profile: Callable[..., Profile],
    issuer: ScriptedIssuer,
    refresh_token: str | None,
    scopes: tuple[str, ...] | None,
    told: bool,
) -> None:
    issuer.tokens = {"refresh_token": refresh_token}
    with issuer.user() as user:
        freshkey_oidc.acquire(make_profile(scopes=scopes), SIGN_IN, user)
    assert any('prompt = "consent"' in notice for notice in user.notices) is told


def test_user_is_told_that_nobody_says_who_signed_in(make_profile: MakeProfile, issuer: ScriptedIssuer) -> None:
    issuer.id_token = lambda _: None
    with issuer.user() as user:
        assert freshkey_oidc.acquire(make_profile(), SIGN_IN, user).identity.account == "user-1"  # by userinfo
    assert not any("who signed in" in notice for notice in user.notices)
    del issuer.metadata["userinfo_endpoint"]
    issuer.http.on("GET", f"{ISSUER}/.well-known/openid-configuration", status=404)
    for scopes, told in ((None, True), (("offline_access",), False)):
        with issuer.user() as user:
            freshkey_oidc.acquire(make_profile(scopes=scopes), SIGN_IN, user)
        assert any("who signed in" in notice for notice in user.notices) is told
