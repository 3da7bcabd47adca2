"""Takes a credential from a profile of Anthropic's own tools, whatever kind of profile it is."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Final

from attrs import evolve

from freshkey.errors import LoginRequired, TransientError
from freshkey.plugin import SYSTEM, Clock, Moment, Profile, Secret
from freshkey_claude_oauth.anthropic_credentials import Tokens, read_tokens
from freshkey_claude_oauth.anthropic_profiles import ACTIVE, AnthropicProfile, load, name_of
from freshkey_claude_oauth.anthropic_renewal import renewed, usable
from freshkey_claude_oauth.exchange import exchange
from freshkey_claude_oauth.formats import ClaudeProfileToken, ClaudeToken
from freshkey_claude_oauth.settings import ClaudeSettings


RECHECK: Final = 60.0
"""Seconds after which a file is read again whose token has no known end."""


def take(profile: Profile, source_id: str, *, replacing: Secret | None = None, clock: Clock = SYSTEM) -> ClaudeToken:
    """Return a token of the Anthropic profile that a source means; renewed, where this is the one to renew it.

    Args:
        profile: Whose settings count.
        source_id: `freshkey_claude_oauth.anthropic_profiles.NAMED` or `ACTIVE`.
        replacing: An access token that is refused or about to end, so that another one is needed.
        clock: Tells the time.

    Raises:
        TransientError: Not now.
        OutcomeUnknown: Sent, no usable answer.
        LoginRequired: There is none, or only a new sign-in helps.
        ProviderRefused: The federation rule or the client is refused.
        ConfigurationError: Its files cannot be used.
    """
    settings = profile.settings_as(ClaudeSettings)
    name = name_of(source_id, profile, os.environ)
    if name is None:
        raise _none(source_id)
    whose = load(name, settings, os.environ)
    return evolve(_take(whose, settings, replacing, clock), source=source_id)


def _take(whose: AnthropicProfile, settings: ClaudeSettings, replacing: Secret | None, clock: Clock) -> ClaudeToken:
    if whose.federation is not None:
        return exchange(whose.federation, settings, clock=clock)
    tokens = read_tokens(whose)
    if whose.client_id is None:
        return _renewed_elsewhere(whose, tokens, settings, clock)
    if not usable(tokens, replacing, clock.now().wall):
        tokens = renewed(whose, settings, replacing=replacing, clock=clock)
    return _token(ClaudeProfileToken, whose, tokens, settings, clock)


def _none(source_id: str) -> LoginRequired:
    if source_id == ACTIVE:
        return LoginRequired("Anthropic's own tools have no active profile", hint="Such as: ant auth login")
    return LoginRequired("no Anthropic profile is named", hint="Set ANTHROPIC_PROFILE, or anthropic_profile")


def _renewed_elsewhere(whose: AnthropicProfile, tokens: Tokens, settings: ClaudeSettings, clock: Clock) -> ClaudeToken:
    """Return what the file holds: without a client id another program renews it, and freshkey only reads."""
    left = tokens.seconds_left(clock.now().wall)
    if left is not None and left <= 0:
        when = datetime.fromtimestamp(tokens.expires_at or 0, UTC)
        message = f"its token expired at {when:%Y-%m-%d %H:%M:%S} UTC, and the program that renews it has not yet"
        raise TransientError(whose.about(message), hint=f"Start the program that writes {whose.credentials}")
    return _token(ClaudeToken, whose, tokens, settings, clock)


def _token(
    kind: type[ClaudeToken], whose: AnthropicProfile, tokens: Tokens, settings: ClaudeSettings, clock: Clock
) -> ClaudeToken:
    """Return the credential; its refresh token stays in the file."""
    now = clock.now()
    # It may be hours old: what its file says of its age decides when it is due, and whether a refusal comes at once.
    age = min(max(0.0, now.wall - tokens.written_at), now.wall)
    obtained = Moment(now.wall - age, now.elapsed - age, now.boot_id)
    workspace = {"anthropic-workspace-id": whose.workspace_id} if whose.workspace_id else {}
    return kind(
        obtained=obtained,
        clock=clock,
        lifetime=tokens.seconds_left(obtained.wall),
        recheck_after=RECHECK if tokens.expires_at is None else None,
        access_token=tokens.access_token,
        scopes=tokens.scopes,
        client_id=whose.client_id,
        token_endpoint=whose.token_endpoint,
        extra_headers=tuple({**settings.api_headers, **workspace}.items()),
        identity=tokens.identity,
    )
