"""From a server's answer to a `ClaudeToken`, the same way after a sign-in and after a renewal."""

from __future__ import annotations

from typing import Final

from freshkey.errors import ProviderRefused
from freshkey.oauth import OAuthClient, TokenAnswer
from freshkey.plugin import Clock, Identity, Secret
from freshkey_claude_oauth.formats import ClaudeToken
from freshkey_claude_oauth.identity import from_token
from freshkey_claude_oauth.settings import ClaudeSettings


DEFAULT_LIFETIME: Final = 3600.0
"""Seconds, where the server says nothing of the end: too short only costs a renewal."""


def make_token(
    answer: TokenAnswer,
    *,
    client: OAuthClient,
    settings: ClaudeSettings,
    clock: Clock,
    scopes: tuple[str, ...],
    refresh_token: Secret | None = None,
    identity: Identity = Identity(),  # noqa: B008  frozen
) -> ClaudeToken:
    """Return the credential that an answer brought.

    Args:
        answer: The answer.
        client: Whom it came from, and which client it is bound to.
        settings: For the headers that go along with it.
        clock: Tells when it arrived: now.
        scopes: What was asked for or granted before, where the answer names none (RFC 6749, section 5.1).
        refresh_token: The one to keep where the answer brings none (RFC 6749, section 6).
        identity: What is known already.

    Raises:
        ProviderRefused: It is no bearer token.
    """
    if answer.token_type != "Bearer":  # noqa: S105  the type of a token is no token
        raise ProviderRefused(f"the server issued a token of type {answer.token_type}; only bearer tokens can be used")
    return ClaudeToken(
        obtained=clock.now(),
        clock=clock,
        lifetime=DEFAULT_LIFETIME if answer.expires_in is None else answer.expires_in,
        access_token=answer.access_token,
        refresh_token=answer.refresh_token or refresh_token,
        scopes=answer.granted(scopes),
        client_id=client.client_id,
        issuer=client.server.issuer,
        token_endpoint=client.server.token_endpoint,
        extra_headers=tuple(settings.api_headers.items()),
        identity=from_token(answer.extra, identity),
    )
