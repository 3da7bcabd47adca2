"""Asking the issuer about a token: each answer, and no answer, has its own result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

import freshkey_oidc
from freshkey import Keeper
from freshkey.errors import ProtocolError
from freshkey.model.credential import ApiKey, Credential
from freshkey.model.description import Inspection, Validity
from freshkey.model.identity import Identity
from freshkey.model.profile import Profile
from freshkey.secret import Secret
from freshkey_oidc.formats import OidcToken
from freshkey_oidc.sources import CLIENT_CREDENTIALS, VARIABLE
from freshkey_testing import ManualClock
from raises_code import raises_code
from scripted_issuer import ISSUER, ScriptedIssuer


MakeProfile = Callable[..., Profile]
SignIn = Callable[..., OidcToken]


def inspect(profile: Profile, credential: Credential) -> Inspection:
    found = freshkey_oidc.describe(profile, credential)
    assert isinstance(found, Inspection)
    return found


def test_token_that_the_issuer_accepts_is_valid(profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn) -> None:
    held = sign_in()
    issuer.http.requests.clear()
    issuer.userinfo = {"sub": "user-1", "email": "new@example.test"}
    found = inspect(profile, held)
    assert found.validity is Validity.VALID
    assert found.identity == Identity(account="user-1", display_name="Ada", email="new@example.test")
    assert [request.url for request in issuer.http.requests] == [f"{ISSUER}/userinfo"]


@pytest.mark.parametrize(
    ("how", "validity"),
    [
        ({"status": 401}, Validity.REFUSED),
        ({"status": 403}, Validity.UNCHECKABLE),
        ({"status": 404}, Validity.UNCHECKABLE),
        ({"status": 429}, Validity.UNREACHABLE),
        ({"status": 503}, Validity.UNREACHABLE),
        ({"status": 407}, Validity.UNREACHABLE),
        ({"body": b"<html>"}, Validity.UNREACHABLE),
        ({"fault": "before-sending"}, Validity.UNREACHABLE),
        ({"fault": "after-sending"}, Validity.UNREACHABLE),
    ],
    ids=str,
)
def test_each_answer_has_its_result(
    profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn, how: dict[str, Any], validity: Validity
) -> None:
    held = sign_in()
    with issuer.http.instead(**how):
        found = inspect(profile, held)
    assert (found.validity, found.identity) == (validity, held.identity)
    assert found.detail
    assert "access-1" not in repr(found)


@pytest.mark.parametrize("claims", [{"sub": "user-2"}, {"name": "Ada"}, {}], ids=str)
def test_answer_about_another_user_or_nobody_is_an_error(
    profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn, claims: dict[str, str]
) -> None:
    held = sign_in()
    issuer.userinfo = claims
    with raises_code(ProtocolError, "invalid-userinfo"):
        inspect(profile, held)


def test_token_that_is_over_is_not_asked_about(
    profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn, freshkey_clock: ManualClock
) -> None:
    held = evolve(sign_in(), clock=freshkey_clock)
    issuer.http.requests.clear()
    freshkey_clock.advance(3601.0)
    found = inspect(profile, held)
    assert found.validity is Validity.EXPIRED
    assert "it expired at" in (found.detail or "")
    assert issuer.http.requests == []


def test_issuer_without_userinfo_cannot_be_asked(profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn) -> None:
    del issuer.metadata["userinfo_endpoint"]
    issuer.http.on("GET", f"{ISSUER}/.well-known/openid-configuration", status=404)
    held = sign_in()
    issuer.http.requests.clear()
    for credential in (held, ApiKey(key=Secret("a-key"), obtained=held.obtained)):
        assert inspect(profile, credential).validity is Validity.UNCHECKABLE
    assert issuer.http.requests == []


def test_token_that_was_handed_in_is_asked_about_if_the_endpoint_is_set(
    make_profile: MakeProfile,
    acquire: Callable[..., OidcToken],
    issuer: ScriptedIssuer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("APP_TOKEN", "a-token-that-was-handed-in")
    plain = make_profile(token_variable="APP_TOKEN")
    assert inspect(plain, acquire(plain, VARIABLE)).validity is Validity.UNCHECKABLE
    profile = make_profile(token_variable="APP_TOKEN", userinfo_endpoint=f"{ISSUER}/userinfo")
    found = inspect(profile, acquire(profile, VARIABLE))
    assert found.validity is Validity.VALID
    assert found.identity is not None
    assert found.identity.account == "user-1"
    assert issuer.http.requests[-1].headers["Authorization"] == "Bearer a-token-that-was-handed-in"


def test_token_of_the_application_itself_is_asked_about_only_if_the_endpoint_is_set(
    make_profile: MakeProfile, acquire: Callable[..., OidcToken], issuer: ScriptedIssuer
) -> None:
    profile = make_profile(client_secret=Secret("a-secret"))
    assert inspect(profile, acquire(profile, CLIENT_CREDENTIALS)).validity is Validity.UNCHECKABLE
    profile = make_profile(client_secret=Secret("a-secret"), userinfo_endpoint=f"{ISSUER}/userinfo")
    held = acquire(profile, CLIENT_CREDENTIALS)
    with issuer.http.instead(status=403):
        assert inspect(profile, held).validity is Validity.UNCHECKABLE
    issuer.userinfo = {"sub": "app-1"}
    assert inspect(profile, held).validity is Validity.VALID


def test_userinfo_endpoint_below_the_issuers_host_is_asked_without_its_metadata(
    freshkey_keeper: Callable[..., Keeper], issuer: ScriptedIssuer
) -> None:
    elsewhere = "https://users.id.example.test/me"
    issuer.metadata["userinfo_endpoint"] = elsewhere
    issuer.http.on("GET", elsewhere, json=issuer.userinfo)
    profiles = {"work": {"provider": "oidc", **issuer.settings}}
    with issuer.user() as user:
        freshkey_keeper({"oidc": freshkey_oidc}, profiles=profiles).login("work", interaction=user)
    issuer.http.requests.clear()
    another_process = freshkey_keeper({"oidc": freshkey_oidc}, profiles=profiles)
    assert another_process.inspect("work").validity is Validity.VALID
    assert [request.url for request in issuer.http.requests] == [elsewhere]
