"""Revokes a sign-in at the server that issued it."""

from __future__ import annotations

from freshkey.errors import ProviderRefused
from freshkey.plugin import Credential, Profile
from freshkey_claude_oauth import oauth_client
from freshkey_claude_oauth.formats import ClaudeToken


def revoke(profile: Profile, credential: Credential) -> None:
    """Revoke a sign-in: the refresh token, and with it the access tokens it was used for (RFC 7009, section 2.1).

    Raises:
        TransientError: The sign-in may still be valid; try again.
        OutcomeUnknown: There was no response, so the sign-in may still be valid.
        LoginRequired: The sign-in was issued by a server other than the configured one, so it was not sent.
        ProviderRefused: The server does not support revocation, or refused it.
    """
    if not isinstance(credential, ClaudeToken):
        raise ProviderRefused(
            "only a sign-in can be revoked; delete the API key in the Claude Console", code="revocation-not-supported"
        )
    client = oauth_client.bound_client(profile, credential, look_for=(oauth_client.REVOCATION,))
    if client.server.revocation_endpoint is None:
        raise ProviderRefused(
            "the authorization server has no revocation endpoint",
            hint="Set revoke_url if it has one",
            code="revocation-not-supported",
        )
    if credential.refresh_token is not None:
        client.revoke(credential.refresh_token, "refresh_token")
    else:
        client.revoke(credential.access_token, "access_token")
