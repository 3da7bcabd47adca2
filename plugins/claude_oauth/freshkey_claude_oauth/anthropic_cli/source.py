"""Profiles of Anthropic's own tools as sources: what can be seen of one, and the token that it brings."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Final

from attrs import evolve

from freshkey.errors import FreshkeyError, LoginRequired, TransientError
from freshkey.plugin import SYSTEM, Clock, Detected, Moment, Profile, Secret
from freshkey_claude_oauth.anthropic_cli import files
from freshkey_claude_oauth.anthropic_cli.credentials import Tokens, read_tokens
from freshkey_claude_oauth.anthropic_cli.profiles import ACTIVE, CliProfile, load, name_of
from freshkey_claude_oauth.formats import ClaudeProfileToken, ClaudeToken
from freshkey_claude_oauth.settings import ClaudeSettings


RECHECK_INTERVAL: Final = 60.0
"""Seconds after which a file is read again whose token has no known end."""


def detect(source_id: str, profile: Profile) -> Detected | None:
    """Say which Anthropic profile a source means; one that cannot be used is seen, so that using it tells why."""
    name: str | None = None
    try:
        name = name_of(source_id, profile, os.environ)
        if name is None:
            return None
        found = load(name, profile.settings_as(ClaudeSettings), os.environ)
        return Detected(kind=_kind(found), origin=str(found.path), expires_at=_expires_at(found))
    except FreshkeyError:
        called = f"Anthropic profile {name!r}" if name else "Anthropic profile"
        return Detected(kind=f"{called} that cannot be used", origin=str(files.directory(os.environ)))


def _kind(found: CliProfile) -> str:
    what = "workload identity" if found.federation else "sign-in" if found.client_id else "token of another program"
    return f"{what} of Anthropic profile {found.name!r}"


def _expires_at(found: CliProfile) -> datetime | None:
    if found.federation:
        return None
    expires_at = read_tokens(found).expires_at
    return None if expires_at is None else datetime.fromtimestamp(expires_at, UTC)


def acquire(profile: Profile, source_id: str, *, replacing: Secret | None = None, clock: Clock = SYSTEM) -> ClaudeToken:
    """Return a token of the Anthropic profile that a source means; renewed, where this is the one to renew it.

    Args:
        profile: Whose settings count.
        source_id: `freshkey_claude_oauth.anthropic_cli.profiles.NAMED` or `ACTIVE`.
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
    cli_profile = load(name, settings, os.environ)
    return evolve(_acquire(cli_profile, settings, replacing, clock), source=source_id)


def _acquire(cli_profile: CliProfile, settings: ClaudeSettings, replacing: Secret | None, clock: Clock) -> ClaudeToken:
    from freshkey_claude_oauth.anthropic_cli.renewal import renew_sign_in, usable
    from freshkey_claude_oauth.federation.exchange import exchange

    if cli_profile.federation is not None:
        return exchange(cli_profile.federation, settings, clock=clock)
    tokens = read_tokens(cli_profile)
    if cli_profile.client_id is None:
        return _renewed_elsewhere(cli_profile, tokens, settings, clock)
    if not usable(tokens, replacing, clock.now().wall):
        tokens = renew_sign_in(cli_profile, settings, replacing=replacing, clock=clock)
    return _token(ClaudeProfileToken, cli_profile, tokens, settings, clock)


def _none(source_id: str) -> LoginRequired:
    if source_id == ACTIVE:
        return LoginRequired("Anthropic's own tools have no active profile", hint="Such as: ant auth login")
    return LoginRequired("no Anthropic profile is named", hint="Set ANTHROPIC_PROFILE, or anthropic_profile")


def _renewed_elsewhere(cli_profile: CliProfile, tokens: Tokens, settings: ClaudeSettings, clock: Clock) -> ClaudeToken:
    """Return what the file holds: without a client id another program renews it, and freshkey only reads."""
    left = tokens.seconds_left(clock.now().wall)
    if left is not None and left <= 0:
        when = datetime.fromtimestamp(tokens.expires_at or 0, UTC)
        message = f"its token expired at {when:%Y-%m-%d %H:%M:%S} UTC, and the program that renews it has not yet"
        raise TransientError(
            cli_profile.about(message), hint=f"Start the program that writes {cli_profile.credentials}"
        )
    return _token(ClaudeToken, cli_profile, tokens, settings, clock)


def _token(
    kind: type[ClaudeToken], cli_profile: CliProfile, tokens: Tokens, settings: ClaudeSettings, clock: Clock
) -> ClaudeToken:
    """Return the credential; its refresh token stays in the file."""
    now = clock.now()
    # It may be hours old: what its file says of its age decides when it is due, and whether a refusal comes at once.
    age = min(max(0.0, now.wall - tokens.written_at), now.wall)
    obtained = Moment(now.wall - age, now.elapsed - age, now.boot_id)
    workspace = {"anthropic-workspace-id": cli_profile.workspace_id} if cli_profile.workspace_id else {}
    return kind(
        obtained=obtained,
        clock=clock,
        lifetime=tokens.seconds_left(obtained.wall),
        recheck_after=RECHECK_INTERVAL if tokens.expires_at is None else None,
        access_token=tokens.access_token,
        scopes=tokens.scopes,
        client_id=cli_profile.client_id,
        token_endpoint=cli_profile.token_endpoint,
        extra_headers=tuple({**settings.api_headers, **workspace}.items()),
        identity=tokens.identity,
    )
