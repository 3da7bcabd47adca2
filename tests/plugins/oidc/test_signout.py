"""Signing out: the token that ends the sign-in is revoked where it was issued."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest
from attrs import evolve

from freshkey.errors import FreshkeyError, LoginRequired, OutcomeUnknown, ProviderRefused, TransientError
from freshkey.model.credential import ApiKey
from freshkey.model.profile import Profile
from freshkey.secret import Secret
from freshkey_oidc.formats import OidcToken
from freshkey_oidc.signout import revoke
from raises_code import raises_code
from scripted_issuer import CLIENT, ISSUER, ScriptedIssuer


MakeProfile = Callable[..., Profile]
SignIn = Callable[..., OidcToken]


def sent(issuer: ScriptedIssuer) -> tuple[str, dict[str, list[str]]]:
    """Return the address and the fields of the last request."""
    request = issuer.http.requests[-1]
    return request.url, parse_qs(request.body.decode())


def test_refresh_token_is_revoked_and_nothing_is_fetched(
    profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn
) -> None:
    held = sign_in()
    issuer.http.requests.clear()
    revoke(profile, held)
    fields = {"token": ["refresh-1"], "token_type_hint": ["refresh_token"], "client_id": [CLIENT]}
    assert sent(issuer) == (f"{ISSUER}/revocation", fields)
    assert len(issuer.http.requests) == 1


def test_access_token_is_revoked_if_it_is_all_there_is(
    profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn
) -> None:
    revoke(profile, evolve(sign_in(), refresh_token=None))
    fields = {"token": ["access-1"], "token_type_hint": ["access_token"], "client_id": [CLIENT]}
    assert sent(issuer) == (f"{ISSUER}/revocation", fields)


def test_client_authenticates_as_at_the_sign_in(
    make_profile: MakeProfile, issuer: ScriptedIssuer, sign_in: SignIn
) -> None:
    issuer.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    profile = make_profile(client_secret=Secret("a-client-secret"))
    revoke(profile, sign_in(profile))
    assert sent(issuer)[1]["client_secret"] == ["a-client-secret"]


def test_missing_secret_is_an_error_before_anything_is_sent(
    make_profile: MakeProfile, issuer: ScriptedIssuer, sign_in: SignIn
) -> None:
    held = sign_in(make_profile(client_secret=Secret("a-client-secret")))
    issuer.http.requests.clear()
    with raises_code(LoginRequired, "oidc-client-secret-missing"):
        revoke(make_profile(), held)
    assert issuer.http.requests == []


def test_endpoint_is_that_of_the_sign_in(make_profile: MakeProfile, issuer: ScriptedIssuer, sign_in: SignIn) -> None:
    held = sign_in()
    issuer.metadata["revocation_endpoint"] = f"{ISSUER}/elsewhere"
    revoke(make_profile(revocation_endpoint=f"{ISSUER}/elsewhere"), held)
    assert sent(issuer)[0] == f"{ISSUER}/revocation"


def test_issuer_that_cannot_revoke_is_told_from_one_that_has(
    profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn
) -> None:
    held = evolve(sign_in(), revocation_endpoint=None)
    issuer.http.requests.clear()
    for credential in (held, ApiKey(key=Secret("a-key"), obtained=held.obtained)):
        with raises_code(ProviderRefused, "revocation-not-supported") as caught:
            revoke(profile, credential)
        assert "revocation_endpoint" in (caught.value.hint or "")
    assert issuer.http.requests == []


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ({"status": 503}, TransientError),
        ({"fault": "before-sending"}, TransientError),
        ({"fault": "after-sending"}, OutcomeUnknown),
        ({"status": 400, "json": {"error": "unsupported_token_type"}}, ProviderRefused),
    ],
    ids=str,
)
def test_sign_in_that_may_still_be_valid_is_an_error(
    profile: Profile, issuer: ScriptedIssuer, sign_in: SignIn, how: dict[str, Any], kind: type[FreshkeyError]
) -> None:
    held = sign_in()
    with issuer.http.instead(**how), pytest.raises(kind) as caught:
        revoke(profile, held)
    assert "refresh-1" not in str(caught.value)
