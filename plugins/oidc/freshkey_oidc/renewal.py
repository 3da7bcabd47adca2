"""Renews a sign-in with its refresh token, which may work only once."""

from __future__ import annotations

from attrs import evolve

from freshkey.errors import LoginRequired, sign_in_command
from freshkey.oauth import OAuthClient
from freshkey.plugin import Credential, Profile
from freshkey_oidc import identity, issuer
from freshkey_oidc.client import client as client_of
from freshkey_oidc.formats import OidcToken
from freshkey_oidc.settings import SIGN_IN_SCOPES, OidcSettings
from freshkey_oidc.tokens import DEFAULT_LIFETIME


def renew(profile: Profile, credential: Credential) -> OidcToken:
    """Return a newer token; with a good refresh token but a useless access token, one that is stored and never served.

    Raises:
        TransientError: The issuer certainly did not process the request.
        OutcomeUnknown: The request was sent, and there is no usable response.
        LoginRequired: The credential cannot be renewed, or is no longer accepted.
        ProviderRefused: The issuer rejects the client.
    """
    if not isinstance(credential, OidcToken) or credential.refresh_token is None:
        raise LoginRequired(
            "this credential cannot be renewed: it has no refresh token",
            hint=f"Ask for one, as with the scope offline_access, then run: {sign_in_command(profile.word)}",
            code="not-renewable",
        )
    settings, client = profile.settings_as(OidcSettings), client_for(profile, credential)
    extra = {"resource": settings.resource} if settings.resource else {}
    scopes = (SIGN_IN_SCOPES if settings.scopes is None else settings.scopes) if settings.scopes_at_renewal else ()
    answer = client.refresh(credential.refresh_token, scopes=scopes, extra=extra)
    whose, another = identity.of_renewal(answer, client, profile, credential)
    unusable = answer.unusable() or another
    lifetime = DEFAULT_LIFETIME if answer.expires_in is None else answer.expires_in
    return evolve(
        credential,
        obtained=answer.requested or profile.clock.now(),
        lifetime=lifetime if unusable is None else 0.0,
        renewable_for=answer.refresh_expires_in,
        unusable=unusable,
        access_token=answer.access_token,
        refresh_token=answer.refresh_token or credential.refresh_token,
        scopes=answer.granted(credential.scopes),
        variable=settings.environment_variable,
        identity=whose,
    )


def client_for(profile: Profile, credential: OidcToken) -> OAuthClient:
    """Return the client that a credential was issued to, at the server that issued it; a new secret or key counts.

    Raises:
        LoginRequired: The client's secret or key is not there.
    """
    settings = profile.settings_as(OidcSettings)
    bare = not (settings.confidential or settings.client_authentication)
    # If there is nothing to authenticate with now, but was then, that is missing: the issuer could only say no.
    return client_of(profile, issuer.issued_by(credential), method=credential.authentication if bare else None)
