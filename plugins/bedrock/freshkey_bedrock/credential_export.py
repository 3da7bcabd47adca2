"""A command that prints AWS credentials: run when they are needed, with its output captured and never shown."""

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
"""Seconds before the credentials expire at which the command runs again; an hour if the output does not say when."""


def detect(profile: Profile) -> Detected | None:
    """Report the configured command, without running it."""
    command = profile.settings_as(BedrockSettings).credential_export
    return Detected(kind="AWS credentials", origin=f"command {command.name!r}") if command else None


def take(profile: Profile, reporter: Reporter, *, clock: Clock = SYSTEM) -> AwsCredential:
    """Run the command and return the credentials that it printed.

    Args:
        profile: The profile.
        reporter: Receives a notice if the command is slow.
        clock: Provides the time at which the command finished.

    Raises:
        LoginRequired: No command is configured.
        ConfigurationError: It cannot be run, or comes from a project and is not trusted in its current form.
        TransientError: It took too long, failed, or printed expired credentials.
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
    keys = read_credentials(printed, f"the helper {command.name!r}")
    obtained = clock.now()
    if keys.has_expired(obtained):
        message = (
            f"the helper {command.name!r} printed credentials that expired at {keys.expires_at:%Y-%m-%d %H:%M:%S %Z}"
        )
        raise TransientError(
            message,
            hint="Run the command yourself, and sign in with the tool that it uses",
            code="bedrock-credential-export-expired",
        )
    return evolve(keys.credential(obtained, needed_region(profile), clock), lead=LEAD, source=ID)
