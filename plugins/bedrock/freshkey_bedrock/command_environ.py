"""The environment of commands that print AWS credentials, and of commands that sign the user in."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

from freshkey.plugin import Profile, helper_environment
from freshkey_bedrock.settings import BedrockSettings


_SECRET: Final = re.compile(r"KEY|TOKEN|SECRET|CREDENTIAL|PASSWORD")
"""Matches names of variables that hold secrets; variables named ``*_FILE`` hold a path and are kept."""


def for_helper(profile: Profile, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment of a command that prints credentials: that of any helper, plus AWS settings.

    It contains no credentials, neither of AWS nor of another provider: the command fetches its own.

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
    """Return the environment of a sign-in command: everything a browser may need; the core removes secrets.

    Args:
        profile: The profile.
        environ: The environment of this process.
    """
    return {**environ, **_meant(profile)}


def _meant(profile: Profile) -> dict[str, str]:
    """Point the command at the configured AWS profile; botocore reads both variables."""
    named = profile.settings_as(BedrockSettings).aws_profile
    return {"AWS_PROFILE": named, "AWS_DEFAULT_PROFILE": named} if named else {}
