"""What a token response becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from freshkey.errors import ProviderRefused
from freshkey.model.identity import Identity
from freshkey.model.profile import Profile
from freshkey.secret import Secret
from freshkey_oidc.formats import OidcToken
from freshkey_oidc.sources import CLIENT_CREDENTIALS
from freshkey_testing import ManualClock
from scripted_issuer import CLIENT, ISSUER, ScriptedIssuer


MakeProfile = Callable[..., Profile]
SignIn = Callable[..., OidcToken]


def test_credential_has_all_that_renews_revokes_and_checks_it(
    make_profile: MakeProfile, sign_in: SignIn, freshkey_clock: ManualClock
) -> None:
    now = freshkey_clock.now()
    token = sign_in(make_profile(environment_variable="APP_TOKEN"))
    assert (token.access_token, token.refresh_token) == (Secret("access-1"), Secret("refresh-1"))
    assert (token.issuer, token.client_id) == (ISSUER, CLIENT)
    assert (token.token_endpoint, token.revocation_endpoint) == (f"{ISSUER}/token", f"{ISSUER}/revocation")
    assert token.userinfo_endpoint == f"{ISSUER}/userinfo"
    assert (token.authentication, token.variable) == ("none", "APP_TOKEN")
    assert token.obtained.wall == now.wall


@pytest.mark.parametrize(
    ("tokens", "lifetime", "renewable_for"),
    [
        ({}, 3600.0, None),
        ({"expires_in": 60}, 60.0, None),
        ({"expires_in": "90"}, 90.0, None),
        ({"expires_in": None}, 3600.0, None),
        ({"expires_in": None, "refresh_token": None}, None, None),
        ({"refresh_expires_in": 1800}, 3600.0, 1800.0),
        ({"refresh_token_expires_in": 1800}, 3600.0, 1800.0),
    ],
    ids=str,
)
def test_lifetimes(
    sign_in: SignIn,
    issuer: ScriptedIssuer,
    tokens: dict[str, Any],
    lifetime: float | None,
    renewable_for: float | None,
) -> None:
    issuer.tokens = tokens
    token = sign_in()
    assert (token.lifetime, token.renewable_for) == (lifetime, renewable_for)


def test_scopes_are_those_granted_or_else_those_requested(
    make_profile: MakeProfile, sign_in: SignIn, issuer: ScriptedIssuer
) -> None:
    assert sign_in().scopes == ("openid", "offline_access")
    assert sign_in(make_profile(scopes=("openid", "read"))).scopes == ("openid", "read")
    issuer.tokens = {"scope": "openid"}
    assert sign_in(make_profile(scopes=("openid", "read"))).scopes == ("openid",)


@pytest.mark.parametrize(
    "tokens",
    [{"token_type": "DPoP"}, {"token_type": "mac"}, {"access_token": None}, {"access_token": "two words"}],
    ids=str,
)
def test_access_token_that_cannot_be_sent_is_an_error(
    sign_in: SignIn, issuer: ScriptedIssuer, tokens: dict[str, Any]
) -> None:
    issuer.tokens = tokens
    with pytest.raises(ProviderRefused) as caught:
        sign_in()
    assert "refresh-1" not in f"{caught.value} {caught.value.hint}"


def test_no_secret_is_shown(sign_in: SignIn, issuer: ScriptedIssuer) -> None:
    issuer.tokens = {"access_token": "canary-access", "refresh_token": "canary-refresh"}
    assert "canary" not in f"{sign_in()!r} {sign_in()}"


def test_token_of_the_application_has_no_user_to_ask(
    make_profile: MakeProfile, acquire: Callable[..., OidcToken]
) -> None:
    token = acquire(make_profile(client_secret=Secret("a-secret")), CLIENT_CREDENTIALS)
    assert token.identity == Identity(account=CLIENT)
    assert (token.scopes, token.renewable, token.authentication) == ((), False, "client_secret_basic")
