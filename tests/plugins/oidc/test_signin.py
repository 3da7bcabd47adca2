"""Signing in at a scripted issuer."""

from __future__ import annotations

from collections.abc import Callable

import freshkey_oidc
from freshkey.model.profile import Profile
from freshkey_oidc.formats import OidcToken
from freshkey_oidc.sources import SIGN_IN
from scripted_issuer import CLIENT, ISSUER, ScriptedIssuer


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
