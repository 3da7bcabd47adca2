"""Builds credentials from token responses."""

from __future__ import annotations

from typing import Final

from freshkey import oauth
from freshkey.plugin import Identity, Profile
from freshkey_oidc.client import authenticates_by
from freshkey_oidc.formats import OidcToken
from freshkey_oidc.settings import OidcSettings


DEFAULT_LIFETIME: Final = 3600.0
"""Seconds, if a response has no lifetime and another token can be had: too short a one only costs a renewal."""


def issued(
    answer: oauth.TokenAnswer,
    client: oauth.OAuthClient,
    profile: Profile,
    *,
    scopes: tuple[str, ...],
    identity: Identity,
    automatic: bool = True,
) -> OidcToken:
    """Return the credential in a token response.

    Args:
        answer: The response.
        client: The client that received it, to which the credential is bound.
        profile: The profile.
        scopes: What was requested, if the response lists no scopes (RFC 6749, section 5.1).
        identity: Whose it is, as far as is known.
        automatic: Whether another one can be had without a user.

    Raises:
        ProviderRefused: The access token cannot be used.
    """
    if (flaw := answer.unusable()) is not None:
        raise flaw
    default = DEFAULT_LIFETIME if automatic or answer.refresh_token else None  # None: it is not known to end
    settings, server = profile.settings_as(OidcSettings), client.server
    return OidcToken(
        obtained=answer.requested or profile.clock.now(),
        clock=profile.clock,
        lifetime=default if answer.expires_in is None else answer.expires_in,
        renewable_for=answer.refresh_expires_in,
        access_token=answer.access_token,
        refresh_token=answer.refresh_token,
        scopes=answer.granted(scopes),
        client_id=client.client_id,
        issuer=server.issuer,
        token_endpoint=server.token_endpoint,
        revocation_endpoint=server.revocation_endpoint,
        userinfo_endpoint=server.userinfo_endpoint,
        authentication=authenticates_by(settings, server),
        variable=settings.environment_variable,
        identity=identity,
    )
