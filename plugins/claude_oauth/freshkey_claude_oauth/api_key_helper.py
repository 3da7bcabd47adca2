"""A command that prints the API key: run on demand, and again periodically while the last key is served."""

from __future__ import annotations

from typing import Final

from attrs import evolve

from freshkey.errors import LoginRequired
from freshkey.plugin import Credential, Detected, Profile, Reporter, read_helper_line, run_command
from freshkey_claude_oauth.env_token import Kind, credential
from freshkey_claude_oauth.settings import ClaudeSettings, HelperOutput


SOURCE: Final = "api-key-helper"

_KINDS: Final[dict[HelperOutput, Kind]] = {
    "api-key": "API key",
    "bearer-token": "bearer token",
    "oauth-token": "OAuth token",
}


def detect(profile: Profile) -> Detected | None:
    """Report a configured command, without running it."""
    settings = profile.settings_as(ClaudeSettings)
    command = settings.api_key_helper
    if command is None:
        return None
    kind = _KINDS[settings.api_key_helper_gives]
    return Detected(kind=kind, origin=f"command {command.name!r}", version=command.version)


def acquire(profile: Profile, reporter: Reporter) -> Credential:
    """Run the command and return what it printed.

    The rules are those of Claude Code's ``apiKeyHelper``: one line of printable ASCII, at most 16 KiB, and exit status
    0. The command runs without a shell.

    Args:
        profile: The profile.
        reporter: Receives a notice if the command is slow.

    Raises:
        LoginRequired: No command is configured.
        ConfigurationError: The command cannot be run, or comes from a project and its current version is not trusted.
        TransientError: The command timed out or failed.
        ProtocolError: The output is not a single usable line.
    """
    settings = profile.settings_as(ClaudeSettings)
    command = settings.api_key_helper
    if command is None:
        raise LoginRequired(
            "api_key_helper is not set",
            profile=profile.name,
            hint=f'Set api_key_helper = ["/path/to/program"] under [profiles.{profile.name}] in config.toml',
            code="no-credential-found",
        )
    printed = run_command(command, timeout=settings.api_key_helper_timeout, reporter=reporter)
    secret = read_helper_line(printed, f"the helper {command.name!r}")
    found = credential(_KINDS[settings.api_key_helper_gives], secret, profile, profile.clock.now())
    return evolve(found, recheck_after=settings.api_key_helper_ttl)
