"""Says which AWS region a profile uses."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from freshkey.errors import ConfigurationError
from freshkey.plugin import Profile
from freshkey_bedrock.settings import BedrockSettings, checked_region
from freshkey_bedrock.shared_config import profile_name, profile_section


VARIABLES: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")
"""In the order in which Anthropic's SDK asks for them."""


def known_region(profile: Profile, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the region: the setting, the environment, or that of the profile of AWS's tools; None if none says.

    Raises:
        ConfigurationError: What names it is no name of a region, or AWS's config file is malformed.
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
    """Return the region, where nothing can be done without.

    Raises:
        ConfigurationError: Nothing names one, or no possible one.
    """
    region = known_region(profile, environ)
    if region is None:
        raise ConfigurationError(
            "no AWS region is set, and requests are signed for one",
            profile=profile.name,
            hint=f'Write region = "us-east-1" under [profiles.{profile.name}], or set AWS_REGION',
        )
    return region


def _checked(region: str, what: str, profile: Profile) -> str:
    try:
        return checked_region(region, what)
    except ConfigurationError as error:
        error.profile = profile.name
        raise
