"""A command that prints AWS credentials: run when they are needed, with its output captured and never shown."""

from __future__ import annotations

from typing import Final

from attrs import evolve

from freshkey.errors import LoginRequired
from freshkey.plugin import Detected, Profile, Reporter, run_command
from freshkey_bedrock import command_environ, versions
from freshkey_bedrock.credential_process import read_credentials, refuse_expired
from freshkey_bedrock.formats import AwsCredential
from freshkey_bedrock.region import needed_region
from freshkey_bedrock.settings import BedrockSettings


ID: Final = "credential-export"

LEAD: Final = 300.0
"""Seconds before the credentials expire at which the command runs again; an hour if the output does not say when."""


def detect(profile: Profile) -> Detected | None:
    """Report the configured command, without running it."""
    command = profile.settings_as(BedrockSettings).credential_export
    if command is None:
        return None
    return Detected(kind="AWS credentials", origin=f"command {command.name!r}", version=versions.of_command(command))


def take(profile: Profile, reporter: Reporter) -> AwsCredential:
    """Run the command and return the credentials that it printed.

    Args:
        profile: The profile.
        reporter: Receives a notice if the command is slow.

    Raises:
        LoginRequired: No command is configured, or it printed credentials that have expired.
        ConfigurationError: It cannot be run, or comes from a project and is not trusted in its current form.
        TransientError: It took too long or failed.
        ProtocolError: It printed something other than credentials.
    """
    settings = profile.settings_as(BedrockSettings)
    command = settings.credential_export
    if command is None:
        hint = f'Set credential_export = ["/path/to/program"] under [profiles.{profile.name}] in config.toml'
        raise LoginRequired(
            "credential_export is not set", profile=profile.name, hint=hint, code="bedrock-no-aws-credentials"
        )
    printed = run_command(
        command,
        timeout=settings.credential_export_timeout,
        environ=command_environ.for_helper(profile),
        reporter=reporter,
    )
    program = f"the helper {command.name!r}"
    keys, obtained = read_credentials(printed, program), profile.clock.now()
    refuse_expired(keys, program, obtained.wall)
    return evolve(keys.credential(obtained, needed_region(profile), profile.clock), lead=LEAD, source=ID)
