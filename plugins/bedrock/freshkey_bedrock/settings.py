"""The settings of a profile, each with a default, and checked as a whole when it is built."""

from __future__ import annotations

import re
from typing import Final

from attrs import field, frozen

from freshkey.errors import ConfigurationError


DEADLINE: Final = 60.0
"""Seconds that looking for AWS credentials may take, unless a profile says otherwise."""

LONGEST_DEADLINE: Final = 600.0
"""Seconds."""

_REGION: Final = re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]+")
"""The shape of a region's name; it becomes part of a host's name, so nothing else may pass."""


@frozen(kw_only=True)
class BedrockSettings:
    """The keys of a profile with ``provider = "bedrock"``.

    Attributes:
        region: AWS region of Bedrock, before ``AWS_REGION``, ``AWS_DEFAULT_REGION`` and the region of the AWS profile.
        aws_profile: Name of a profile in the files of AWS's tools; credentials in the environment are ignored then.
        deadline: Seconds that looking for AWS credentials, or checking them, may take.
    """

    region: str | None = field(default=None, metadata={"project": True})
    aws_profile: str | None = field(default=None, metadata={"project": True})
    deadline: float = DEADLINE

    def __attrs_post_init__(self) -> None:
        if self.region is not None:
            checked_region(self.region, "region")
        if self.aws_profile is not None and not self.aws_profile.strip():
            raise ConfigurationError(
                "aws_profile: a profile of AWS's tools has a name", hint="Name it, or leave it out"
            )
        if not 0 < self.deadline <= LONGEST_DEADLINE:
            raise ConfigurationError(f"deadline must be between 0 and {LONGEST_DEADLINE:g} seconds")


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
