"""Builds a `ClaudeToken` from a token response, for sign-ins and renewals alike."""

from __future__ import annotations

from typing import Final

from freshkey.oauth import OAuthClient, TokenAnswer
from freshkey.plugin import Identity, Profile
from freshkey_claude_oauth.formats import ClaudeToken
from freshkey_claude_oauth.identity import from_token
from freshkey_claude_oauth.settings import ClaudeSettings


DEFAULT_LIFETIME: Final = 3600.0
"""Seconds, if the response contains no lifetime: one that is too short only costs a renewal."""


def make_token(
    answer: TokenAnswer,
    *,
    client: OAuthClient,
    profile: Profile,
    scopes: tuple[str, ...],
    before: ClaudeToken | None = None,
) -> ClaudeToken:
    """Return the credential in a token response.

    Args:
        answer: The response.
        client: The client that received it, to which the credential is bound.
        profile: Provides the headers of API requests, and the time if the response does not say when it was requested.
        scopes: What was requested or granted before, if the response lists no scopes (RFC 6749, section 5.1).
        before: What is renewed: its refresh token is kept if the response has none (RFC 6749, section 6), and so is
            what is known about the account. Its revocation endpoint is always kept.
    """
    settings, clock = profile.settings_as(ClaudeSettings), profile.clock
    refresh_token, identity = (None, Identity()) if before is None else (before.refresh_token, before.identity)
    revocation = client.server.revocation_endpoint if before is None else before.revocation_endpoint
    unusable = answer.unusable()
    lifetime = DEFAULT_LIFETIME if answer.expires_in is None else answer.expires_in
    return ClaudeToken(
        obtained=answer.requested or clock.now(),
        clock=clock,
        lifetime=lifetime if unusable is None else 0.0,
        renewable_for=answer.refresh_expires_in,
        unusable=unusable,
        access_token=answer.access_token,
        refresh_token=answer.refresh_token or refresh_token,
        scopes=answer.granted(scopes),
        client_id=client.client_id,
        issuer=client.server.issuer,
        token_endpoint=client.server.token_endpoint,
        revocation_endpoint=revocation,
        extra_headers=tuple(settings.api_headers.items()),
        identity=from_token(answer.extra, identity),
    )
