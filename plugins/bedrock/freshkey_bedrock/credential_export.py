"""A command that prints AWS credentials: run when someone needs them, its output captured and shown to no one."""

from __future__ import annotations

from typing import Final

from attrs import evolve

from freshkey.errors import LoginRequired, TransientError
from freshkey.plugin import SYSTEM, Clock, Detected, Profile, Reporter, run_command
from freshkey_bedrock import command_environ
from freshkey_bedrock.credential_process import read_credentials
from freshkey_bedrock.formats import AwsCredential
from freshkey_bedrock.region import needed_region
from freshkey_bedrock.settings import BedrockSettings


ID: Final = "credential-export"

LEAD: Final = 300.0
"""Seconds before their end at which the command is run again; without one what it printed is used for an hour."""


def detect(profile: Profile) -> Detected | None:
    """Say whether a command is set up, without running it."""
    command = profile.settings_as(BedrockSettings).credential_export
    return Detected(kind="AWS credentials", origin=f"command {command.name!r}") if command else None


def take(profile: Profile, reporter: Reporter, *, clock: Clock = SYSTEM) -> AwsCredential:
    """Run the command and return the credentials that it printed.

    Args:
        profile: The profile.
        reporter: Hears that the command is slow.
        clock: Tells when it had printed.

    Raises:
        LoginRequired: No command is set up.
        ConfigurationError: It cannot be run, or is a project's and not trusted as it is.
        TransientError: It took too long, failed, or printed what has expired.
        ProtocolError: It printed something else.
    """
    settings = profile.settings_as(BedrockSettings)
    command = settings.credential_export
    if command is None:
        hint = f'Write credential_export = ["/path/to/program"] under [profiles.{profile.name}]'
        raise LoginRequired("no credential_export is set up", profile=profile.name, hint=hint)
    printed = run_command(
        command,
        timeout=settings.credential_export_timeout,
        environ=command_environ.for_helper(profile),
        reporter=reporter,
    )
    keys = read_credentials(printed, f"the command {command.name!r}")
    obtained = clock.now()
    if keys.has_expired(obtained):
        message = (
            f"the command {command.name!r} printed credentials that expired at {keys.expires_at:%Y-%m-%d %H:%M:%S %Z}"
        )
        raise TransientError(message, hint="Run it yourself; sign in with the tool that it asks")
    return evolve(keys.credential(obtained, needed_region(profile), clock), lead=LEAD, source=ID)
