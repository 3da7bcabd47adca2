"""Renewing a sign-in: what is sent, what is kept, and whose tokens are not served."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

import freshkey_oidc
from counterparts.signed import new_key, pem
from freshkey.errors import LoginRequired, OutcomeUnknown, ProtocolError, ProviderRefused, TransientError
from freshkey.model.credential import ApiKey, Credential
from freshkey.model.description import Inspection, Validity
from freshkey.model.interaction import LoggingReporter
from freshkey.model.profile import Profile
from freshkey.secret import Secret
from freshkey_oidc.formats import OidcToken
from freshkey_testing import ManualClock
from raises_code import raises_code
from scripted_issuer import CLIENT, ISSUER, ScriptedIssuer


MakeProfile = Callable[..., Profile]
SignIn = Callable[..., OidcToken]


def renew(profile: Profile, credential: Credential) -> OidcToken:
    newer = freshkey_oidc.refresh(profile, credential, LoggingReporter())
    assert isinstance(newer, OidcToken)
    return newer


def test_each_renewal_sends_the_newest_refresh_token(profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn) -> None:
    first = renew(profile, sign_in())
    second = renew(profile, first)
    assert issuer.asked[1:] == [
        {"grant_type": ["refresh_token"], "refresh_token": ["refresh-1"], "client_id": [CLIENT]},
        {"grant_type": ["refresh_token"], "refresh_token": ["refresh-2"], "client_id": [CLIENT]},
    ]
    assert (second.access_token, second.refresh_token) == (Secret("access-3"), Secret("refresh-3"))
    assert (second.source, second.token_endpoint) == ("sign-in", f"{ISSUER}/token")


def test_nothing_is_fetched_but_the_tokens(profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn) -> None:
    held = sign_in()
    issuer.http.requests.clear()
    renew(profile, held)
    assert [request.url for request in issuer.http.requests] == [f"{ISSUER}/token"]


def test_refresh_token_stays_if_the_issuer_sends_no_other(
    profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn
) -> None:
    held = sign_in()
    issuer.tokens = {"refresh_token": None}
    assert renew(profile, held).refresh_token == Secret("refresh-1")


def test_times_are_those_of_the_newest_answer(
    profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn, freshkey_clock: ManualClock
) -> None:
    held = sign_in()
    freshkey_clock.advance(600.0)
    issuer.tokens = {"expires_in": 60, "refresh_expires_in": 900}
    newer = renew(profile, held)
    assert newer.obtained.wall - held.obtained.wall == pytest.approx(600.0)
    assert (newer.lifetime, newer.renewable_for) == (60.0, 900.0)
    issuer.tokens = {"expires_in": None}
    assert renew(profile, newer).lifetime == 3600.0


def test_scopes_are_not_requested_and_stay_unless_the_issuer_says_otherwise(
    make_profile: MakeProfile, issuer: ScriptedIssuer, sign_in: SignIn
) -> None:
    profile = make_profile(scopes=("openid", "read", "write"))
    held = sign_in(profile)
    renewed = renew(profile, held)
    assert "scope" not in issuer.asked[-1]
    assert renewed.scopes == ("openid", "read", "write")
    issuer.tokens = {"scope": "openid read"}
    assert renew(profile, renewed).scopes == ("openid", "read")


def test_resource_and_parameters_are_sent_but_no_audience(
    make_profile: MakeProfile, issuer: ScriptedIssuer, sign_in: SignIn
) -> None:
    profile = make_profile(resource=("https://a.test", "https://b.test"), audience=("c",), token_parameters={"x": "y"})
    renew(profile, sign_in(profile))
    assert issuer.asked[-1]["resource"] == ["https://a.test", "https://b.test"]
    assert issuer.asked[-1]["x"] == ["y"]
    assert "audience" not in issuer.asked[-1]


def test_client_authenticates_as_it_did_at_the_sign_in(
    make_profile: MakeProfile, issuer: ScriptedIssuer, sign_in: SignIn
) -> None:
    issuer.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    profile = make_profile(client_secret=Secret("a-client-secret"))
    held = sign_in(profile)
    assert held.authentication == "client_secret_post"
    renew(profile, held)  # without metadata, the secret would be sent in a header
    assert issuer.asked[-1]["client_secret"] == ["a-client-secret"]
    renew(make_profile(client_secret=Secret("a-client-secret"), client_authentication="client_secret_basic"), held)
    assert "client_secret" not in issuer.asked[-1]


def test_client_that_has_become_confidential_authenticates_from_then_on(
    make_profile: MakeProfile, issuer: ScriptedIssuer, sign_in: SignIn, tmp_path: Path
) -> None:
    held = sign_in()
    assert held.authentication == "none"
    renew(make_profile(client_secret=Secret("a-client-secret")), held)
    assert issuer.http.requests[-1].headers["Authorization"].startswith("Basic ")
    held = sign_in(make_profile(client_secret=Secret("a-client-secret")))
    file = tmp_path / "key.pem"
    file.write_text(pem(new_key("k1", "RS256")))
    renew(make_profile(private_key_file=file), held)
    assert "client_assertion" in issuer.asked[-1]


def test_missing_secret_spends_no_refresh_token(
    make_profile: MakeProfile, issuer: ScriptedIssuer, sign_in: SignIn
) -> None:
    held = sign_in(make_profile(client_secret=Secret("a-client-secret")))
    issuer.asked.clear()
    with raises_code(LoginRequired, "oidc-client-secret-missing") as caught:
        renew(make_profile(), held)
    assert caught.value.unsent
    assert issuer.asked == []


def test_variable_of_the_settings_is_that_of_the_renewed_token(make_profile: MakeProfile, sign_in: SignIn) -> None:
    held = sign_in(make_profile(environment_variable="OLD_NAME"))
    assert held.environment() == {"OLD_NAME": "access-1"}
    assert renew(make_profile(environment_variable="NEW_NAME"), held).environment() == {"NEW_NAME": "access-2"}


def test_what_cannot_be_renewed_needs_a_sign_in(profile: Profile, sign_in: SignIn, freshkey_clock: ManualClock) -> None:
    key = ApiKey(key=Secret("a-key"), obtained=freshkey_clock.now())
    for credential in (evolve(sign_in(), refresh_token=None), key):
        with raises_code(LoginRequired, "not-renewable") as caught:
            renew(profile, credential)
        assert "offline_access" in (caught.value.hint or "")
        assert "freshkey login test" in (caught.value.hint or "")


# --- whose tokens they are -------------------------------------------------------------------------------------------


def test_tokens_of_another_user_are_kept_and_not_served(
    profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn
) -> None:
    held = sign_in()
    issuer.claims = {"sub": "user-2"}
    newer = renew(profile, held)
    assert isinstance(newer.unusable, ProviderRefused)
    assert newer.unusable.code == "another-user"
    assert newer.refresh_token == Secret("refresh-2")
    assert newer.lifetime == 0.0
    assert newer.identity == held.identity


def test_tokens_of_another_user_are_not_served_if_another_claim_names_the_account_either(
    make_profile: MakeProfile, issuer: ScriptedIssuer, sign_in: SignIn
) -> None:
    profile = make_profile(account_claim="email")
    held = sign_in(profile)
    issuer.claims = {"sub": "user-2"}
    newer = renew(profile, held)
    assert isinstance(newer.unusable, ProviderRefused)
    assert newer.unusable.code == "another-user"


@pytest.mark.parametrize("keys", [{}, {"jwks_uri": f"{ISSUER}/keys"}], ids=["without keys", "with keys"])
def test_user_that_a_claim_identifies_is_not_another_one_because_of_an_id_token(
    make_profile: MakeProfile, issuer: ScriptedIssuer, sign_in: SignIn, keys: dict[str, str]
) -> None:
    issuer.userinfo = {"sub": "user-1", "id": 7}
    names = ("authorization", "token", "userinfo")
    profile = make_profile(account_claim="id", **{f"{name}_endpoint": f"{ISSUER}/{name}" for name in names}, **keys)
    held = sign_in(profile)
    assert held.identity.account == ("user-1" if keys else "7")
    newer = renew(profile, held)
    assert (newer.unusable, newer.identity) == (None, held.identity)
    found = freshkey_oidc.describe(profile, newer)
    assert isinstance(found, Inspection)
    assert found.validity is Validity.VALID


def test_tokens_of_another_organization_are_not_served(
    make_profile: MakeProfile, issuer: ScriptedIssuer, sign_in: SignIn
) -> None:
    issuer.claims, issuer.userinfo = {"tid": "t-1"}, {"sub": "user-1"}
    profile = make_profile(organization_claim="tid")
    held = sign_in(profile)
    assert held.identity.organization == "t-1"
    issuer.claims = {"tid": "t-2"}
    assert renew(profile, held).unusable is not None
    issuer.claims = {"tid": None}
    kept = renew(profile, held)
    assert (kept.unusable, kept.identity.organization) == (None, "t-1")


def test_identity_is_that_of_the_newest_id_token(profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn) -> None:
    held = sign_in()
    assert (held.identity.display_name, held.identity.email) == ("Ada", "ada@example.test")
    same = renew(profile, held)  # whose ID token says only who it is
    assert same.identity == held.identity
    issuer.claims = {"email": "lovelace@example.test", "name": "Ada Lovelace"}
    newer = renew(profile, same)
    assert (newer.identity.display_name, newer.identity.email) == ("Ada Lovelace", "lovelace@example.test")
    issuer.id_token = lambda _: None
    assert renew(profile, newer).identity == newer.identity


@pytest.mark.parametrize(
    "claims",
    [{"iss": "https://other.example.test"}, {"aud": "app-2"}, {"exp": 0}, {"exp": None}, {"sub": None}, {"sub": 7}],
    ids=str,
)
def test_id_token_that_is_wrong_costs_no_tokens(
    profile: Profile,
    issuer: ScriptedIssuer,
    sign_in: SignIn,
    caplog: pytest.LogCaptureFixture,
    claims: dict[str, Any],
) -> None:
    held = sign_in()
    issuer.claims = claims
    with caplog.at_level(logging.WARNING):
        newer = renew(profile, held)
    assert (newer.unusable, newer.lifetime, newer.identity) == (None, 3600.0, held.identity)
    assert "ID token" in caplog.text


@pytest.mark.parametrize("more", [{"exp": 1}, {"iat": 10**11}, {"aud": "app-2"}], ids=str)
def test_another_user_is_not_served_because_something_else_is_wrong_too(
    profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn, more: dict[str, Any]
) -> None:
    held = sign_in()
    issuer.claims = {"sub": "user-2", **more}
    newer = renew(profile, held)
    assert isinstance(newer.unusable, ProviderRefused)
    assert (newer.unusable.code, newer.identity) == ("another-user", held.identity)


@pytest.mark.parametrize("scopes", [None, ("openid", "https://api.example.test/.default")])
def test_scopes_are_requested_again_where_the_settings_say_so(
    make_profile: MakeProfile, issuer: ScriptedIssuer, sign_in: SignIn, scopes: tuple[str, ...] | None
) -> None:
    held = sign_in(make_profile(scopes=scopes))
    renew(make_profile(scopes=scopes), held)
    assert "scope" not in issuer.asked[-1]
    renew(make_profile(scopes=scopes, scopes_at_renewal=True), held)
    assert issuer.asked[-1]["scope"] == [" ".join(scopes or ("openid", "offline_access"))]


def test_id_token_that_is_unreadable_costs_no_tokens(profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn) -> None:
    held = sign_in()
    for text in ("", "a.b", "not a token", "a.b.c.d.e", "e30.W10.c2ln"):
        issuer.id_token = lambda _, text=text: text  # type: ignore[misc]  # of this turn
        newer = renew(profile, held)
        assert (newer.unusable, newer.identity) == (None, held.identity)


# --- answers that are of no use --------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", [{"token_type": "mac"}, {"token_type": "DPoP"}, {"access_token": None}], ids=str)
def test_access_token_that_cannot_be_used_saves_its_refresh_token(
    profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn, tokens: dict[str, Any]
) -> None:
    held = sign_in()
    issuer.tokens = tokens
    newer = renew(profile, held)
    assert newer.unusable is not None
    assert (newer.lifetime, newer.refresh_token) == (0.0, Secret("refresh-2"))


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ({"status": 400, "json": {"error": "invalid_grant"}}, LoginRequired),
        ({"status": 401, "json": {"error": "invalid_client"}}, ProviderRefused),
        ({"status": 400, "json": {"error": "invalid_target"}}, ProviderRefused),
        ({"status": 503}, TransientError),
        ({"fault": "before-sending"}, TransientError),
        ({"fault": "after-sending"}, OutcomeUnknown),
        ({"json": {}}, ProtocolError),
    ],
    ids=str,
)
def test_each_failure_is_its_error(
    profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn, how: dict[str, Any], kind: type[Exception]
) -> None:
    held = sign_in()
    with issuer.http.instead(**how), pytest.raises(kind):
        renew(profile, held)
