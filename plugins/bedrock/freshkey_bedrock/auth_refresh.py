"""Another tool's sign-in, such as ``aws sso login``: run where AWS's credentials are seen to have ended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from freshkey.errors import LoginRequired
from freshkey.plugin import SYSTEM, Clock, Detected, Interaction, Profile, Validity, is_attended
from freshkey_bedrock import command_environ
from freshkey_bedrock.formats import AwsCredential
from freshkey_bedrock.settings import BedrockSettings


def detect(profile: Profile) -> Detected | None:
    """Say that a command is set up, after which there will be credentials."""
    command = profile.settings_as(BedrockSettings).auth_refresh
    return Detected(kind="AWS credentials", origin=f"where {command.name!r} signs in") if command else None


def with_auth_refresh(
    profile: Profile, interaction: Interaction, take: Callable[[], AwsCredential], *, clock: Clock = SYSTEM
) -> AwsCredential:
    """Return what `take` finds; where it finds nothing usable, run the profile's ``auth_refresh`` and look again.

    The command runs only if someone waits for the credentials: a timer that renews ahead opens no browser.
    Temporary credentials in a file that does not say when they end are shown to STS first.

    Args:
        profile: The profile.
        interaction: Who waits; hears what the command prints.
        take: Reads AWS's files anew and returns the credentials there, or raises `LoginRequired` where there are none
            or they have expired.
        clock: Tells when the command last ran.

    Raises:
        LoginRequired: There is nothing, and the command is not set up, did not help, failed, or ended a moment ago.
        TrustNeeded: The command is a project's, and not as it was when it was trusted.
        ConfigurationError: The command cannot be run.
    """
    command = profile.settings_as(BedrockSettings).auth_refresh
    if command is None or not is_attended(interaction):
        return take()
    with suppress(LoginRequired):
        found = take()
        if not _has_ended(profile, found):
            return found
    from freshkey.plugin import run_login_command

    run_login_command(command, profile, interaction, clock=clock, environ=command_environ.for_sign_in(profile))
    return take()


def _has_ended(profile: Profile, found: AwsCredential) -> bool:
    """Tell whether temporary credentials have ended although their file does not say when: only AWS knows then."""
    if found.session_token is None or found.lifetime is not None:
        return False
    from freshkey_bedrock.inspection import inspect

    return inspect(profile, found).validity is Validity.EXPIRED
