"""Runs a sign-in command of another tool, such as ``aws sso login``, when AWS credentials are missing or expired."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from freshkey.errors import LoginRequired
from freshkey.plugin import Detected, Interaction, Profile, Validity, is_attended
from freshkey_bedrock import command_environ, versions
from freshkey_bedrock.formats import AwsCredential
from freshkey_bedrock.settings import BedrockSettings


def detect(profile: Profile) -> Detected | None:
    """Report a configured sign-in command: credentials will exist once it has run."""
    command = profile.settings_as(BedrockSettings).auth_refresh
    if command is None:
        return None
    origin = f"files written by {command.name!r}"
    return Detected(kind="AWS credentials", origin=origin, version=versions.of_command(command))


def with_auth_refresh(profile: Profile, interaction: Interaction, take: Callable[[], AwsCredential]) -> AwsCredential:
    """Return what `take` finds; if it finds nothing usable, run the profile's ``auth_refresh`` command and retry.

    The command runs only if a caller is waiting: a background renewal must not open a browser. Temporary credentials
    that do not say when they expire are first checked with STS.

    Args:
        profile: The profile.
        interaction: The waiting caller; receives what the command prints.
        take: Rereads the shared AWS files and returns the credentials, or raises `LoginRequired` if there are none or
            they have expired.

    Raises:
        LoginRequired: No credentials were found, and the command is not configured, did not help, failed, or ran less
            than a minute ago.
        TrustNeeded: The command comes from a project and has changed since it was trusted.
        ConfigurationError: The command cannot be run.
    """
    command = profile.settings_as(BedrockSettings).auth_refresh
    # See docs/decisions.md, "Another tool's sign-in runs only for a waiting caller, and at most once a minute".
    if command is None or not is_attended(interaction):
        return take()
    with suppress(LoginRequired):
        found = take()
        if not _has_ended(profile, found):
            return found
    from freshkey.plugin import run_login_command

    run_login_command(command, profile, interaction, clock=profile.clock, environ=command_environ.for_sign_in(profile))
    return take()


def _has_ended(profile: Profile, found: AwsCredential) -> bool:
    """Check with STS whether temporary credentials that do not say when they expire have expired."""
    if found.session_token is None or found.lifetime is not None:
        return False
    # The command opens a browser, so it runs only if they are known to have expired.
    # See docs/decisions.md, "Temporary credentials of unknown lifetime are checked with STS before anyone has to sign
    # in".
    from freshkey_bedrock.inspection import inspect

    return inspect(profile, found).validity is Validity.EXPIRED
