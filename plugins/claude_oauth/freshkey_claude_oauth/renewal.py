"""Renewal with a single-use refresh token."""

from __future__ import annotations

from freshkey.errors import LoginRequired, sign_in_command
from freshkey.plugin import Credential, Profile
from freshkey_claude_oauth import oauth_client
from freshkey_claude_oauth.anthropic_cli import source as cli_source
from freshkey_claude_oauth.formats import ClaudeProfileToken, ClaudeToken
from freshkey_claude_oauth.settings import sign_in_setup
from freshkey_claude_oauth.token_response import make_token


def renew(profile: Profile, credential: Credential) -> ClaudeToken:
    """Return a newer token; with a good refresh token but a useless access token, one that is stored and never served.

    The profile endpoint is not called: the new refresh token must be saved before anything else can fail.

    Args:
        profile: The profile.
        credential: What to renew.

    Raises:
        TransientError: The server certainly did not process the request.
        OutcomeUnknown: The request was sent, and there is no usable response.
        LoginRequired: The credential cannot be renewed, is no longer accepted, or belongs to another server.
        ProviderRefused: The server rejects the client.
    """
    if isinstance(credential, ClaudeProfileToken):
        return cli_source.acquire(profile, credential.source, replacing=credential.access_token)
    if not isinstance(credential, ClaudeToken) or credential.refresh_token is None:
        raise LoginRequired(
            "this credential cannot be renewed: it has no refresh token",
            profile=profile.name,
            hint=f"Replace the credential at its source, or run: {_sign_in(profile)}",
            code="not-renewable",
        )
    client = oauth_client.bound_client(profile, credential)
    answer = client.refresh(credential.refresh_token)
    return make_token(answer, client=client, profile=profile, scopes=credential.scopes, before=credential)


def _sign_in(profile: Profile) -> str:
    """Return the sign-in that works with the profile's settings."""
    return sign_in_command(profile.word) + (" --api-key" if sign_in_setup(profile) else "")
