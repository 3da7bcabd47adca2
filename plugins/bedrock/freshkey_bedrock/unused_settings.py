"""Which settings each source uses; the user is told of those that the chosen source ignores."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Final

import attrs

from freshkey.plugin import Profile, changed_settings
from freshkey_bedrock.environment_keys import environment_end
from freshkey_bedrock.region import VARIABLES
from freshkey_bedrock.settings import BedrockSettings, SsoSettings


_SSO: Final = frozenset(each.name for each in attrs.fields(SsoSettings))
_LOOKUP: Final = frozenset({"aws_profile", "auth_refresh", "deadline"})
_EXPORT: Final = frozenset({"aws_profile", "credential_export", "credential_export_timeout", "deadline"})

USED: Final[Mapping[str, frozenset[str]]] = {
    "bearer-key": frozenset(),
    "short-term-key": _LOOKUP | _EXPORT | {"short_term_key_seconds"},
    "credential-export": _EXPORT,
    "aws-profile": _LOOKUP,
    "environment": _LOOKUP - {"aws_profile"},
    "stored-api-key": frozenset(),
    "sso": _SSO | {"deadline"},
    "default-chain": _LOOKUP,
}
"""Settings that each source uses, besides `region`, which all of them use."""

_EVERYWHERE: Final = frozenset({"region"})


def unused(profile: Profile, source_id: str, environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the settings of a profile that its source ignores, in alphabetical order.

    Only if the profile chooses the source: otherwise they may be for another one. A short-term key is made only if its
    source is chosen.

    Args:
        profile: The profile.
        source_id: The source that is used.
        environ: The environment, which may set the region.
    """
    settings = profile.settings_as(BedrockSettings)
    changed = changed_settings(profile) - _EVERYWHERE
    if profile.source is None:
        changed &= {"short_term_key_seconds"}
    used = USED[source_id]
    if source_id == "default-chain" and _has_keys(environ):
        used -= {"aws_profile"}  # botocore looks into the environment first
    if settings.region is None and not any(environ.get(name) for name in VARIABLES):
        used |= {"aws_profile"}  # its region is used
    if source_id == "short-term-key" and settings.credential_export is not None:
        used -= {"auth_refresh"}
    if settings.credential_export is None:
        used -= {"credential_export_timeout"}
    return tuple(sorted(changed - used))


def _has_keys(environ: Mapping[str, str]) -> bool:
    """Return whether the environment has AWS keys that have not ended."""
    if not environ.get("AWS_ACCESS_KEY_ID"):
        return False
    end = environment_end(environ)
    return end is None or end.at.timestamp() > time.time()
