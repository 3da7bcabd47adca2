"""A provider whose only credential is a key in an environment variable, as authors write one."""

from __future__ import annotations

import os

from attrs import frozen

from freshkey.plugin import (
    SYSTEM,
    ApiKey,
    Credential,
    Description,
    Detected,
    Inspection,
    Interaction,
    Profile,
    Reporter,
    Source,
    Validity,
    environment_secret,
    hookimpl,
)


@frozen(kw_only=True)
class Settings:
    """Settings of a profile."""

    variable: str = "MY_KEY"


def detect(profile: Profile) -> Detected | None:
    variable = profile.settings_as(Settings).variable
    return Detected(kind="key", origin=f"environment variable {variable}") if os.environ.get(variable) else None


VARIABLE = Source(id="variable", title="a variable", owned=False, handed_in=True, detect=detect)


@hookimpl
def describe(profile: Profile | None, credential: Credential | None) -> Description | Inspection:
    if credential is not None:
        return Inspection(validity=Validity.UNCHECKABLE)
    return Description(title="Mine", settings=Settings, formats={"key": ApiKey}, sources=(VARIABLE,))


@hookimpl
def acquire(profile: Profile, source: Source, interaction: Interaction) -> Credential:
    key = environment_secret(profile.settings_as(Settings).variable, os.environ)
    assert key is not None
    return ApiKey(obtained=SYSTEM.now(), source=source.id, key=key)


@hookimpl
def refresh(profile: Profile, credential: Credential, reporter: Reporter) -> Credential:
    key = environment_secret(profile.settings_as(Settings).variable, os.environ)
    assert key is not None
    return ApiKey(obtained=SYSTEM.now(), source=credential.source, key=key)
