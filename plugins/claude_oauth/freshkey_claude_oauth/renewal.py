"""Renewal with a single-use refresh token."""

from __future__ import annotations

from freshkey.errors import LoginRequired, ProtocolError, ProviderRefused, sign_in_command
from freshkey.plugin import SYSTEM, Clock, Credential, Profile
from freshkey_claude_oauth import oauth_client
from freshkey_claude_oauth.anthropic_cli import source as cli_source
from freshkey_claude_oauth.formats import ClaudeProfileToken, ClaudeToken
from freshkey_claude_oauth.settings import ClaudeSettings
from freshkey_claude_oauth.token_response import make_token


def renew(profile: Profile, credential: Credential, *, clock: Clock = SYSTEM) -> ClaudeToken:
    """Return a newer token.

    The profile endpoint is not called: the new refresh token must be saved before anything else can fail.

    Args:
        profile: The profile.
        credential: What to renew.
        clock: Provides the time at which the response arrived.

    Raises:
        TransientError: The server certainly did not process the request.
        OutcomeUnknown: The request was sent, and there is no usable response.
        LoginRequired: The credential cannot be renewed, is no longer accepted, or belongs to another server.
        ProviderRefused: The server rejects the client.
    """
    if isinstance(credential, ClaudeProfileToken):
        return cli_source.acquire(profile, credential.source, replacing=credential.access_token, clock=clock)
    if not isinstance(credential, ClaudeToken) or credential.refresh_token is None:
        raise LoginRequired(
            "this credential cannot be renewed: it has no refresh token",
            profile=profile.name,
            hint=f"Replace the credential at its source, or run: {sign_in_command(profile.name)}",
            code="not-renewable",
        )
    client = oauth_client.bound_client(profile, credential, clock=clock)
    answer = client.refresh(credential.refresh_token)
    try:
        return make_token(
            answer,
            client=client,
            settings=profile.settings_as(ClaudeSettings),
            clock=clock,
            scopes=credential.scopes,
            refresh_token=credential.refresh_token,
            identity=credential.identity,
        )
    except ProviderRefused as error:
        # Not a refusal here: the refresh token was used, and treating it as unspent would send it again forever.
        unusable = ProtocolError(error.message, hint=error.hint, code=error.code)
    raise unusable
