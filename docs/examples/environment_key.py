"""A provider of an API key that the user puts into an environment variable."""

from __future__ import annotations

import os
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
    Profile,
    Reason,
    Reporter,
    Source,
    Validity,
    environment_secret,
    hookimpl,
)


FRESHKEY_CONTRACT: Final = 1

NAME: Final = "MY_KEY"
"""The variable that the API's own client reads, too."""


@frozen(kw_only=True)
class Settings:
    """What a profile may set.

    Attributes:
        variable: Name of another variable with the key.
    """

    variable: str = NAME


def detect(profile: Profile) -> Detected | None:
    """Look for the variable; its value goes nowhere."""
    variable = profile.settings_as(Settings).variable
    return Detected(kind="API key", origin=f"environment variable {variable}") if os.environ.get(variable) else None


# It counts as passed on purpose (`handed_in`), so it goes before a sign-in. Beside one, add it to `sources`, and let
# `acquire` look at `source.id`.
VARIABLE: Final = Source(id="variable", title=f"API key in {NAME}", owned=False, handed_in=True, detect=detect)


@hookimpl
def describe(profile: Profile | None, credential: Credential | None) -> Description | Inspection:
    """Describe this provider; a key is not checked."""
    if credential is not None:
        return Inspection(validity=Validity.UNCHECKABLE, detail="the API has no way to check a key")
    return Description(title="Mine", settings=Settings, formats={"key": ApiKey}, sources=(VARIABLE,), variables=(NAME,))


@hookimpl
def acquire(profile: Profile, source: Source, interaction: Interaction) -> Credential:
    """Read the variable."""
    return _read(profile)


@hookimpl
def refresh(profile: Profile, credential: Credential, reporter: Reporter, reason: Reason) -> Credential:
    """Read it again; for a key, which is not renewable, freshkey itself calls `acquire` instead."""
    return _read(profile)


def _read(profile: Profile) -> ApiKey:
    variable = profile.settings_as(Settings).variable
    key = environment_secret(variable, os.environ)
    if key is None:
        raise LoginRequired(f"{variable} is not set", hint=f"Set {variable} to the key")
    return ApiKey(obtained=profile.clock.now(), source=VARIABLE.id, key=key, clock=profile.clock)
