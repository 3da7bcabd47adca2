"""A provider that reads the token of an agent on the machine, which keeps it fresh in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from attrs import frozen

from freshkey.errors import LoginRequired
from freshkey.plugin import (
    ApiKey,
    Credential,
    Description,
    Detected,
    Inspection,
    Interaction,
    NotRegularError,
    Profile,
    Reason,
    Reporter,
    Secret,
    Source,
    TooLongError,
    Validity,
    file_version,
    hookimpl,
    read_bounded,
)


FRESHKEY_CONTRACT: Final = 1


@frozen(kw_only=True)
class Settings:
    """What a profile may set.

    Attributes:
        path: The agent's file.
        lifetime: Seconds after which the file is read again.
    """

    path: str = "/run/agent/token"
    lifetime: float = 600.0


def detect(profile: Profile) -> Detected | None:
    """Look for the file, without reading it."""
    path = Path(profile.settings_as(Settings).path)
    return Detected(kind="token", origin=str(path), version=file_version(path)) if path.is_file() else None


FILE: Final = Source(id="file", title="The agent's file", owned=False, detect=detect)


@hookimpl
def describe(profile: Profile | None, credential: Credential | None) -> Description | Inspection:
    """Describe this provider; a token cannot be checked."""
    if credential is not None:
        return Inspection(validity=Validity.UNCHECKABLE, detail="the agent has no way to check a token")
    return Description(title="Agent", settings=Settings, formats={"agent-token": ApiKey}, sources=(FILE,))


@hookimpl
def acquire(profile: Profile, source: Source, interaction: Interaction) -> Credential:
    """Read the file."""
    return _read(profile, source.id)


@hookimpl
def refresh(profile: Profile, credential: Credential, reporter: Reporter, reason: Reason) -> Credential:
    """Read it again; for a token, which is not renewable, freshkey itself calls `acquire` instead."""
    return _read(profile, credential.source)


def _read(profile: Profile, source: str) -> ApiKey:
    settings = profile.settings_as(Settings)
    try:
        text = read_bounded(Path(settings.path), 65536).decode("ascii").strip()
    except (OSError, NotRegularError, TooLongError, UnicodeDecodeError):
        text = ""
    if not text:
        raise LoginRequired(f"{settings.path} has no token", hint="Start the agent")
    return ApiKey(
        obtained=profile.clock.now(),
        lifetime=settings.lifetime,
        source=source,
        key=Secret(text),
        clock=profile.clock,
    )
