"""The environment of commands that get AWS credentials, or sign a person in for them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from freshkey.environment import without_secrets
from freshkey.helpers import helper_environment
from freshkey.model import Profile
from freshkey_bedrock.settings import BedrockSettings


PLACES: Final = frozenset({"AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE"})
"""Names that look like those of secrets, and say where a file is."""


def environment(profile: Profile, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what a command may see: what any helper may, and where AWS's tools find their files.

    No credential is among it, neither of another provider nor of AWS: the command fetches its own. Where the profile
    names one of AWS's, the command is meant for that one.

    Args:
        profile: The profile.
        environ: The environment of this process.
    """
    harmless = without_secrets(environ).keys() | PLACES
    of_aws = {name: value for name, value in environ.items() if name.startswith("AWS_") and name in harmless}
    named = profile.settings_as(BedrockSettings).aws_profile
    return {**helper_environment(environ), **of_aws, **({"AWS_PROFILE": named} if named else {})}
