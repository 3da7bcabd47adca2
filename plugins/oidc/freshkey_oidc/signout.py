"""Revokes a sign-in at the issuer."""

from __future__ import annotations

from freshkey.errors import ProviderRefused
from freshkey.plugin import Credential, Profile
from freshkey_oidc.formats import OidcToken
from freshkey_oidc.renewal import client_for


def revoke(profile: Profile, credential: Credential) -> None:
    """Revoke a sign-in: the refresh token, and with it the access tokens it was used for (RFC 7009, section 2.1).

    Raises:
        TransientError: The sign-in may still be valid; try again.
        OutcomeUnknown: There was no response, so the sign-in may still be valid.
        ProviderRefused: The issuer does not support revocation, or refused it.
    """
    if not isinstance(credential, OidcToken) or credential.revocation_endpoint is None:
        raise ProviderRefused(
            "the issuer has no revocation endpoint",
            hint="End the sign-in at the issuer. If it has such an endpoint, set revocation_endpoint for the next one",
            code="revocation-not-supported",
        )
    client = client_for(profile, credential)
    if credential.refresh_token is not None:
        client.revoke(credential.refresh_token)
    else:
        client.revoke(credential.access_token, "access_token")
