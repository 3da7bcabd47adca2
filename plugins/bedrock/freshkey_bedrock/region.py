"""Finds the AWS region of a profile."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from freshkey.errors import ConfigurationError
from freshkey.plugin import Profile
from freshkey_bedrock.settings import BedrockSettings, checked_region
from freshkey_bedrock.shared_config import profile_name, profile_section


VARIABLES: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")
"""In the order in which Anthropic's SDK reads them."""


def known_region(profile: Profile, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the region from the settings, the environment or the AWS profile; None if none of them sets it.

    Raises:
        ConfigurationError: The value is not a region name, or a shared AWS file is malformed.
    """
    setting = profile.settings_as(BedrockSettings).region
    if setting:
        return setting
    for name in VARIABLES:
        if value := environ.get(name):
            return _checked(value, f"the environment variable {name}", profile)
    name = profile_name(profile, environ)
    value = (profile_section(name, environ) or {}).get("region")
    return _checked(value, f"the region of AWS profile {name!r}", profile) if value else None


def needed_region(profile: Profile, environ: Mapping[str, str] = os.environ) -> str:
    """Return the region, for callers that require one.

    Raises:
        ConfigurationError: No region is set, or it is not a region name.
    """
    region = known_region(profile, environ)
    if region is None:
        raise ConfigurationError(
            "no AWS region is set, and signing requests requires one",
            profile=profile.name,
            hint=f'Set region = "us-east-1" under [profiles.{profile.name}] in config.toml, or set AWS_REGION',
            code="bedrock-no-region",
        )
    return region


def _checked(region: str, what: str, profile: Profile) -> str:
    try:
        return checked_region(region, what)
    except ConfigurationError as error:
        error.profile = profile.name
        raise
