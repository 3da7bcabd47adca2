"""Whose a sign-in is: from an ID token that is checked, and from the userinfo endpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

import freshkey_oidc
from counterparts.signed import new_key, public
from freshkey.errors import FreshkeyError, ProtocolError, TransientError
from freshkey.model.identity import Identity
from freshkey.model.profile import Profile
from freshkey_oidc.formats import OidcToken
from freshkey_oidc.sources import SIGN_IN
from freshkey_testing import ManualClock
from raises_code import raises_code
from scripted_issuer import ISSUER, ScriptedIssuer


MakeProfile = Callable[..., Profile]
SignIn = Callable[..., OidcToken]


def without(issuer: ScriptedIssuer, *members: str) -> None:
    """Leave members out of the metadata, which are then looked for in the other document."""
    issuer.http.on("GET", f"{ISSUER}/.well-known/openid-configuration", status=404)
    for name in members:
        del issuer.metadata[name]


def fail_userinfo(issuer: ScriptedIssuer, **how: Any) -> None:
    """Have another userinfo endpoint, which the metadata name, answer like this."""
    issuer.metadata["userinfo_endpoint"] = f"{ISSUER}/other-userinfo"
    issuer.http.on("GET", f"{ISSUER}/other-userinfo", **how)


# --- the ID token ----------------------------------------------------------------------------------------------------


def test_user_is_that_of_the_id_token(profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn) -> None:
    without(issuer, "userinfo_endpoint")
    issuer.claims = {"name": "Ada", "email": "ada@example.test", "tid": "t-1"}
    assert sign_in().identity == Identity(account="user-1", display_name="Ada", email="ada@example.test")


def test_claim_of_the_organization_can_be_set(
    make_profile: MakeProfile, issuer: ScriptedIssuer, sign_in: SignIn
) -> None:
    issuer.claims, issuer.userinfo = {"tid": "t-1"}, {"sub": "user-1"}
    assert sign_in(make_profile(organization_claim="tid")).identity.organization == "t-1"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example.test"},
        {"iss": None},
        {"aud": "app-2"},
        {"aud": ["app-1", "app-2"]},
        {"azp": "app-2"},
        {"exp": 0},
        {"exp": None},
        {"nonce": "another"},
        {"nonce": None},
        {"sub": None},
        {"sub": ""},
    ],
    ids=str,
)
def test_id_token_with_a_wrong_claim_ends_the_sign_in(
    profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn, claims: dict[str, Any]
) -> None:
    issuer.claims = claims
    with raises_code(ProtocolError, "invalid-id-token"):
        sign_in()
    assert f"{ISSUER}/userinfo" not in [request.url for request in issuer.http.requests]


def test_user_was_asked_as_recently_as_max_age_wants(
    make_profile: MakeProfile, issuer: ScriptedIssuer, freshkey_clock: ManualClock, sign_in: SignIn
) -> None:
    recent = make_profile(authorization_parameters={"max_age": "600"})
    issuer.claims = {"auth_time": freshkey_clock.now().wall - 500}
    assert sign_in(recent).identity.account == "user-1"
    for asked in (None, freshkey_clock.now().wall - 800):
        issuer.claims = {"auth_time": asked}
        assert sign_in().identity.account == "user-1"
        with raises_code(ProtocolError, "invalid-id-token"):
            sign_in(recent)


def test_id_token_that_somebody_else_signed_ends_the_sign_in(
    profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn
) -> None:
    issuer.published = [public(new_key("k1"))]
    with raises_code(ProtocolError, "id-token-signature"):
        sign_in()
    issuer.published = []
    with raises_code(ProtocolError, "id-token-signature"):
        sign_in()


def test_id_token_without_a_signature_ends_the_sign_in(
    profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn
) -> None:
    signed = issuer.id_token

    def stripped(claims: dict[str, Any]) -> str:
        header_of_none = "eyJhbGciOiJub25lIn0"
        return f"{header_of_none}.{(signed(claims) or '').split('.')[1]}."

    issuer.id_token = stripped
    with raises_code(ProtocolError, "id-token-signature"):
        sign_in()


def test_issuer_may_have_replaced_its_key(profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn) -> None:
    issuer.published.append(public(new_key("k2")))
    issuer.key = new_key("k3", "RS256")
    issuer.published.append(public(issuer.key))
    assert sign_in().identity.account == "user-1"


def test_keys_that_cannot_be_fetched_end_the_sign_in(profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn) -> None:
    issuer.metadata["jwks_uri"] = f"{ISSUER}/other-keys"
    issuer.http.on("GET", f"{ISSUER}/other-keys", status=503)
    with pytest.raises(TransientError):
        sign_in()


def test_id_token_that_cannot_be_verified_is_not_believed(
    profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn
) -> None:
    without(issuer, "jwks_uri")
    issuer.claims, issuer.userinfo = {"name": "Eve"}, {"sub": "user-9", "name": "Grace"}
    assert sign_in().identity == Identity(account="user-9", display_name="Grace")
    without(issuer, "userinfo_endpoint")
    assert sign_in().identity == Identity()


# --- the userinfo endpoint -------------------------------------------------------------------------------------------


def test_userinfo_adds_what_the_id_token_lacks(profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn) -> None:
    issuer.claims = {"name": "Ada L."}
    issuer.userinfo = {"sub": "user-1", "email": "ada@example.test"}
    assert sign_in().identity == Identity(account="user-1", display_name="Ada L.", email="ada@example.test")
    request = issuer.http.requests[-1]
    assert (request.method, request.headers["Authorization"]) == ("GET", "Bearer access-1")


def test_user_without_an_id_token_is_that_of_userinfo(
    make_profile: MakeProfile, issuer: ScriptedIssuer, sign_in: SignIn
) -> None:
    issuer.id_token = lambda _: None
    token = sign_in(make_profile(scopes=("read",), userinfo_endpoint=f"{ISSUER}/userinfo"))
    assert token.identity == Identity(account="user-1", display_name="Ada", email="ada@example.test")


def test_claim_of_the_account_can_be_that_of_a_server_without_openid(
    make_profile: MakeProfile, issuer: ScriptedIssuer, sign_in: SignIn
) -> None:
    issuer.id_token = lambda _: None
    issuer.userinfo = {"id": 583231, "login": "octocat"}
    token = sign_in(make_profile(scopes=("read",), account_claim="id", userinfo_endpoint=f"{ISSUER}/userinfo"))
    assert token.identity == Identity(account="583231", display_name="octocat")


def test_sub_of_the_id_token_counts_more_than_a_name_that_a_user_has_chosen(
    make_profile: MakeProfile, issuer: ScriptedIssuer, sign_in: SignIn
) -> None:
    issuer.userinfo = {"sub": "user-2", "preferred_username": "user-1", "email": "eve@example.test"}
    token = sign_in(make_profile(account_claim="preferred_username"))
    assert (token.subject, token.identity) == ("user-1", Identity(account="user-1"))


@pytest.mark.parametrize(
    "how",
    [
        {"json": {"sub": "user-2", "name": "Eve"}},
        {"json": {"name": "Eve"}},
        {"json": []},
        {"body": b"a.b.c", "headers": {"Content-Type": "application/jwt"}},
        {"body": b"<html>", "headers": {"Content-Type": "text/html"}},
        {"status": 401},
        {"status": 403},
        {"status": 503},
        {"fault": "before-sending"},
        {"fault": "after-sending"},
    ],
    ids=str,
)
def test_userinfo_that_is_of_no_use_costs_no_sign_in(
    profile: Profile, issuer: ScriptedIssuer, how: Mapping[str, Any]
) -> None:
    fail_userinfo(issuer, **how)
    issuer.claims = {"name": "Ada"}
    with issuer.user() as user:
        token = freshkey_oidc.acquire(profile, SIGN_IN, user)
    assert token.identity == Identity(account="user-1", display_name="Ada")
    assert any("could not look up the account" in notice for notice in user.notices)


def test_access_token_that_cannot_be_used_is_not_sent_to_userinfo(
    profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn
) -> None:
    issuer.tokens = {"access_token": None}
    with pytest.raises(FreshkeyError):
        sign_in()
    assert f"{ISSUER}/userinfo" not in [request.url for request in issuer.http.requests]
