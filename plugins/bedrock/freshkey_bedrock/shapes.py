"""The shapes of names that become part of an address."""

from __future__ import annotations

import re
from typing import Final

from freshkey.errors import ConfigurationError


_REGION: Final = re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]+")
"""The shape of a region's name; it becomes part of a host's name, so nothing else may pass."""


def checked_region(region: str, what: str) -> str:
    """Return the name of a region if it has the shape of one.

    Args:
        region: The name.
        what: What says so, for the message.

    Raises:
        ConfigurationError: It is no name of a region.
    """
    if _REGION.fullmatch(region):
        return region
    raise ConfigurationError(f"{what}: {region!r} is no name of an AWS region", hint="Write it as eu-west-1")
