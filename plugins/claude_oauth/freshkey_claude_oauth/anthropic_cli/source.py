"""Profiles of Anthropic's own tools as sources: detects a profile and gets its token."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from attrs import evolve

from freshkey.errors import FreshkeyError, LoginRequired, TransientError
from freshkey.plugin import Detected, Moment, Profile, Secret, file_version, shown_path, utc_time
from freshkey_claude_oauth.anthropic_cli import files
from freshkey_claude_oauth.anthropic_cli.credentials import Tokens, read_tokens
from freshkey_claude_oauth.anthropic_cli.profiles import ACTIVE, CliProfile, load, name_of
from freshkey_claude_oauth.federation.source import ensure_own
from freshkey_claude_oauth.formats import ClaudeProfileToken, ClaudeToken
from freshkey_claude_oauth.settings import ClaudeSettings


RECHECK_INTERVAL: Final = 60.0
"""Seconds after which the file is read again if it does not say when its token expires."""

_HOME: Final = "USERPROFILE" if sys.platform == "win32" else "HOME"


def detect(source_id: str, profile: Profile) -> Detected | None:
    """Report the Anthropic profile of a source; an unusable one too, so that using it raises an error."""
    name: str | None = None
    found: CliProfile | None = None
    try:
        name = name_of(source_id, profile, os.environ)
        if name is None:
            return None
        found = load(name, os.environ, insecure=profile.allow_insecure_loopback)
        kind, origin, expires_at = _kind(found), str(found.path), _expires_at(found)
    except FreshkeyError:
        called = f"Anthropic profile {name!r}" if name else "Anthropic profile"
        origin = shown_path(str(files.directory(os.environ))) or "environment variable ANTHROPIC_CONFIG_DIR"
        kind, expires_at = f"unusable {called}", None
    return Detected(kind=kind, origin=origin, expires_at=expires_at, version=_version(name, found))


def _version(name: str | None, found: CliProfile | None) -> str:
    """Return a text that changes with a profile: with its files, even if it cannot be loaded, and with variables."""
    base = files.directory(os.environ)
    paths = [base / "active_config"]
    if name is not None:
        paths += [base / "configs" / f"{name}.json", base / "credentials" / f"{name}.json"]
    if found is not None:
        paths.append(found.credentials)
        if found.federation is not None and found.federation.identity_token_file is not None:
            paths.append(found.federation.identity_token_file)
    filled = None if found is None else (found.organization_id, found.workspace_id, found.federation)
    return Secret(f"{file_version(*paths)} {filled}").fingerprint()


def _kind(found: CliProfile) -> str:
    what = "workload identity" if found.federation else "sign-in" if found.client_id else "externally renewed token"
    return f"{what} of Anthropic profile {found.name!r}"


def _expires_at(found: CliProfile) -> datetime | None:
    if found.federation or found.client_id:
        return None  # it is renewed
    expires_at = read_tokens(found).expires_at
    return None if expires_at is None else utc_time(expires_at)


def acquire(profile: Profile, source_id: str, *, replacing: Secret | None = None) -> ClaudeToken:
    """Return a token of the source's Anthropic profile, renewed first if that is freshkey's job.

    Args:
        profile: The freshkey profile.
        source_id: `freshkey_claude_oauth.anthropic_cli.profiles.NAMED` or `ACTIVE`.
        replacing: The access token that was rejected or is about to expire, if any.

    Raises:
        TransientError: Try again later.
        OutcomeUnknown: The request was sent, and there is no usable response.
        LoginRequired: There is no such profile, or only a new sign-in helps.
        ProviderRefused: The server rejects the federation rule or the client.
        ConfigurationError: The profile's files cannot be used.
    """
    name = name_of(source_id, profile, os.environ)
    if name is None:
        raise _none(source_id)
    cli_profile = load(name, os.environ, insecure=profile.allow_insecure_loopback)
    _ensure_own(profile, cli_profile, os.environ)
    return evolve(_acquire(cli_profile, profile, replacing), source=source_id)


def _acquire(cli_profile: CliProfile, profile: Profile, replacing: Secret | None) -> ClaudeToken:
    from freshkey_claude_oauth.anthropic_cli.renewal import renew_sign_in, usable
    from freshkey_claude_oauth.federation.exchange import exchange

    if cli_profile.federation is not None:
        return exchange(cli_profile.federation, profile)
    tokens = read_tokens(cli_profile)
    if cli_profile.client_id is None:
        return _renewed_elsewhere(cli_profile, tokens, profile)
    if not usable(tokens, replacing, profile.clock.now().wall):
        tokens = renew_sign_in(cli_profile, profile, replacing=replacing)
    return _token(ClaudeProfileToken, cli_profile, tokens, profile)


def _ensure_own(profile: Profile, cli_profile: CliProfile, environ: Mapping[str, str]) -> None:
    """Raise unless the files of an Anthropic profile are the user's own or trusted.

    Raises:
        TrustNeeded: One is in the current project.
    """
    named_by = next((name for name in ("ANTHROPIC_CONFIG_DIR", "APPDATA") if environ.get(name)), _HOME)
    paths = [cli_profile.path, cli_profile.path.parent.parent / "active_config", cli_profile.credentials]
    for path in paths[: 2 if cli_profile.federation else 3]:
        profile.ensure_own(named_by, path)
    if cli_profile.federation is not None:
        ensure_own(profile, cli_profile.federation, environ)


def _none(source_id: str) -> LoginRequired:
    if source_id == ACTIVE:
        return LoginRequired(
            "there is no active Anthropic profile",
            hint="Sign in with Anthropic's CLI: ant auth login",
            code="no-credential-found",
        )
    return LoginRequired(
        "no Anthropic profile is selected",
        hint="Set anthropic_profile or ANTHROPIC_PROFILE",
        code="no-credential-found",
    )


def _renewed_elsewhere(cli_profile: CliProfile, tokens: Tokens, profile: Profile) -> ClaudeToken:
    """Return the token in the file: without a client ID, another program renews it, and freshkey only reads it."""
    left = tokens.seconds_left(profile.clock.now().wall)
    if left is not None and left <= 0:
        when = utc_time(tokens.expires_at or 0)
        message = f"the token expired at {when:%Y-%m-%d %H:%M:%S} UTC; the program that renews it has not done so yet"
        raise TransientError(
            cli_profile.about(message),
            hint=f"Start the program that writes {cli_profile.credentials}",
            code="claude-cli-token-expired",
        )
    return _token(ClaudeToken, cli_profile, tokens, profile)


def _token(kind: type[ClaudeToken], cli_profile: CliProfile, tokens: Tokens, profile: Profile) -> ClaudeToken:
    """Return the credential; its refresh token stays in the file."""
    now = profile.clock.now()
    # The token may be hours old: the file's age decides when it is due, and whether a rejection renews it immediately.
    # See docs/decisions.md, "A borrowed token is as old as its file".
    age = min(max(0.0, now.wall - tokens.written_at), now.wall)
    obtained = Moment(now.wall - age, now.elapsed - age, now.boot_id)
    workspace = {"anthropic-workspace-id": cli_profile.workspace_id} if cli_profile.workspace_id else {}
    return kind(
        obtained=obtained,
        clock=profile.clock,
        lifetime=tokens.seconds_left(obtained.wall),
        recheck_after=RECHECK_INTERVAL if tokens.expires_at is None else None,
        access_token=tokens.access_token,
        scopes=tokens.scopes,
        client_id=cli_profile.client_id,
        token_endpoint=cli_profile.token_endpoint,
        extra_headers=tuple({**profile.settings_as(ClaudeSettings).api_headers, **workspace}.items()),
        identity=tokens.identity,
    )
