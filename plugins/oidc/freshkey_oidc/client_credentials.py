"""Gets a token for the application itself (RFC 6749, section 4.4), whenever the last one ends."""

from __future__ import annotations

from freshkey.plugin import Detected, Identity, Profile
from freshkey_oidc import issuer, tokens
from freshkey_oidc.client import client as client_of
from freshkey_oidc.client import missing_secret
from freshkey_oidc.formats import OidcToken
from freshkey_oidc.settings import OidcSettings


def detect(profile: Profile) -> Detected | None:
    """Report the client if the settings choose this flow and what authenticates it is there; no file is read."""
    settings = profile.settings_as(OidcSettings)
    if settings.flow != "client-credentials" or settings.client_id is None or missing_secret(profile):
        return None
    named = (f"client_id {settings.client_id}", settings.client_secret_variable)
    return Detected(kind="client credentials", origin=" and ".join(filter(None, named)))


def setup(profile: Profile) -> str | None:
    """Return what is missing, as a hint."""
    if profile.settings_as(OidcSettings).flow != "client-credentials":
        return f'Set flow = "client-credentials" under [profiles.{profile.name}] in config.toml'
    return issuer.setup(profile) or missing_secret(profile)


def acquire(profile: Profile) -> OidcToken:
    """Return a new token.

    Raises:
        LoginRequired: The client's secret or key is missing or not accepted.
        ProviderRefused: The settings are incomplete, or the issuer refuses the client or its scopes.
        TransientError: Try again later.
        OutcomeUnknown: There is no usable response; it is safe to try again.
    """
    settings = profile.settings_as(OidcSettings)
    # This grant is not for public clients (RFC 6749, section 4.4): without a secret, the issuer could only refuse.
    method = None if settings.client_authentication or settings.confidential else "client_secret_basic"
    client, scopes = client_of(profile, issuer.server(profile), method=method), settings.scopes or ()
    answer = client.client_credentials(scopes=scopes, extra=settings.addressed())
    return tokens.issued(answer, client, profile, scopes=scopes, identity=Identity(account=client.client_id))
