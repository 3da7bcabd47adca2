"""Exchanges the identity token of the machine for an access token (RFC 8693; RFC 7523), whenever the last one ends."""

from __future__ import annotations

from typing import Final

from attrs import evolve

from freshkey import oauth
from freshkey.errors import LoginRequired, ProviderRefused
from freshkey.plugin import Identity, Profile, Secret
from freshkey_oidc import identity_token, issuer, tokens
from freshkey_oidc.client import client as client_of
from freshkey_oidc.formats import OidcToken
from freshkey_oidc.settings import OidcSettings


_HINT: Final = (
    "Check client_id and what authenticates it, that the identity token has not expired, that the issuer trusts who "
    "issued it and expects its subject and audience, and the scopes, resource and audience in the settings"
)


def acquire(profile: Profile) -> OidcToken:
    """Return a token for the identity that the platform vouches for.

    Raises:
        LoginRequired: There is no identity token, or it is not accepted.
        ConfigurationError: The identity token is unreadable or malformed.
        ProviderRefused: The settings are incomplete, or the issuer refuses the client or its scopes.
        TransientError: Try again later.
        OutcomeUnknown: There is no usable response; it is safe to try again.
    """
    settings = profile.settings_as(OidcSettings)
    client = _client(profile, settings)
    token = identity_token.read(profile)
    try:
        answer = _exchanged(token, settings, client)
    except (LoginRequired, ProviderRefused) as error:  # the latter also if the token is over (RFC 8693, section 2.2.2)
        kind = LoginRequired if isinstance(error, LoginRequired) else ProviderRefused
        message = f"the issuer did not exchange the identity token: {error.message}"
        refusal = kind(message, hint=_HINT, code="oidc-exchange-refused")
    else:
        return tokens.issued(answer, client, profile, scopes=settings.scopes or (), identity=Identity())
    raise refusal


def _client(profile: Profile, settings: OidcSettings) -> oauth.OAuthClient:
    server = issuer.server(profile)
    if not settings.client_id and settings.exchange != "client-assertion":
        # Optional in these requests (RFC 7521, section 4.1; RFC 8693, section 2.1).
        return oauth.OAuthClient.of(profile, server, "", extra=settings.token_parameters)
    # The identity token authenticates it; a secret that is set for something else need not be there.
    return client_of(profile, server, method="none" if settings.exchange == "client-assertion" else None)


def _exchanged(token: Secret, settings: OidcSettings, client: oauth.OAuthClient) -> oauth.TokenAnswer:
    scopes, extra = settings.scopes or (), settings.addressed()
    if settings.exchange == "token-exchange":
        return client.token_exchange(token, subject_token_type=settings.subject_token_type, scopes=scopes, extra=extra)
    if settings.exchange == "jwt-bearer":
        return client.jwt_bearer(token, scopes=scopes, extra=extra)
    return evolve(client, authentication=oauth.ClientAssertion(token)).client_credentials(scopes=scopes, extra=extra)
