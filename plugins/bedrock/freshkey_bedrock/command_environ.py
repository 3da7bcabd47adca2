"""The environment of commands that print AWS credentials, and of those that sign the user in for them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

from freshkey.plugin import Profile, helper_environment
from freshkey_bedrock.settings import BedrockSettings


_SECRET: Final = re.compile(r"KEY|TOKEN|SECRET|CREDENTIAL|PASSWORD")
"""Parts of names of secrets; a variable that names a file holds none."""


def for_helper(profile: Profile, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what a command that prints credentials may see: what any helper may, and where the files of AWS are.

    No credential is among it, neither of another provider nor of AWS: the command fetches its own.

    Args:
        profile: The profile.
        environ: The environment of this process.
    """
    of_aws = {
        name: value
        for name, value in environ.items()
        if name.startswith("AWS_") and (name.endswith("_FILE") or not _SECRET.search(name))
    }
    return {**helper_environment(environ), **of_aws, **_meant(profile)}


def for_sign_in(profile: Profile, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what a command that signs the user in may see: all that opens a browser; the core takes secrets away.

    Args:
        profile: The profile.
        environ: The environment of this process.
    """
    return {**environ, **_meant(profile)}


def _meant(profile: Profile) -> dict[str, str]:
    """Where the profile names one of AWS's, a command of it is meant for that one; botocore asks for both variables."""
    named = profile.settings_as(BedrockSettings).aws_profile
    return {"AWS_PROFILE": named, "AWS_DEFAULT_PROFILE": named} if named else {}
