"""The end of a sign-in at the server that issued it."""

from __future__ import annotations

from freshkey.errors import ProviderRefused
from freshkey.plugin import Credential, Profile
from freshkey_claude_oauth import oauth_client
from freshkey_claude_oauth.formats import ClaudeToken


def revoke(profile: Profile, credential: Credential) -> None:
    """End a sign-in at the server: the refresh token, and what came from it with it (RFC 7009, section 2.1).

    Raises:
        TransientError: It may still exist; try again.
        OutcomeUnknown: No answer says whether it is ended.
        LoginRequired: It belongs to another server than is set up now, so it was not sent.
        ProviderRefused: The server does not revoke.
    """
    if not isinstance(credential, ClaudeToken):
        raise ProviderRefused("only a sign-in can be revoked; delete a key in the Claude Console")
    client = oauth_client.bound_client(profile, credential)
    if client.server.revocation_endpoint is None:
        raise ProviderRefused("this authorization server offers no revocation")
    if credential.refresh_token is not None:
        client.revoke(credential.refresh_token, "refresh_token")
    else:
        client.revoke(credential.access_token, "access_token")
