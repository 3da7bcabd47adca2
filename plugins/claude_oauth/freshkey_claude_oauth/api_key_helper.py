"""A command that prints the key: run when it is needed, and again from time to time while the last key is used."""

from __future__ import annotations

from typing import Final

from attrs import evolve

from freshkey.errors import LoginRequired
from freshkey.plugin import Clock, Credential, Detected, Profile, Reporter, read_helper_line, run_command
from freshkey_claude_oauth.env_token import Kind, credential
from freshkey_claude_oauth.settings import ClaudeSettings, HelperOutput


SOURCE: Final = "api-key-helper"

_KINDS: Final[dict[HelperOutput, Kind]] = {
    "api-key": "API key",
    "bearer-token": "bearer token",
    "oauth-token": "OAuth token",
}


def detect(profile: Profile) -> Detected | None:
    """Say whether a command is set up, without running it."""
    settings = profile.settings_as(ClaudeSettings)
    if settings.api_key_helper is None:
        return None
    return Detected(kind=_KINDS[settings.api_key_helper_gives], origin=f"command {settings.api_key_helper.name!r}")


def acquire(profile: Profile, reporter: Reporter, *, clock: Clock) -> Credential:
    """Run the command and return what it printed.

    What Claude Code takes from its ``apiKeyHelper`` is taken here too: one line of printable ASCII, at most 16 KiB,
    and exit status 0. There is no shell.

    Args:
        profile: The profile.
        reporter: Hears that the command is slow.
        clock: Tells when it had printed.

    Raises:
        LoginRequired: No command is set up.
        ConfigurationError: It cannot be run, or is a project's and not trusted as it is.
        TransientError: It took too long or failed.
        ProtocolError: It printed something else.
    """
    settings = profile.settings_as(ClaudeSettings)
    command = settings.api_key_helper
    if command is None:
        hint = f'Write api_key_helper = ["/path/to/program"] under [profiles.{profile.name}]'
        raise LoginRequired("no api_key_helper is set up", profile=profile.name, hint=hint)
    printed = run_command(command, timeout=settings.api_key_helper_timeout, reporter=reporter)
    secret = read_helper_line(printed, f"the helper {command.name!r}")
    found = credential(_KINDS[settings.api_key_helper_gives], secret, profile, clock.now())
    return evolve(found, recheck_after=settings.api_key_helper_ttl)
