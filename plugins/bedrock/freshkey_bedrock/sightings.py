"""Says what AWS credentials are there: offline and quick, from the environment, the shared files and the machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from freshkey.plugin import Detected, Profile
from freshkey_bedrock.region import ambient_profile
from freshkey_bedrock.settings import BedrockSettings
from freshkey_bedrock.shared_files import profile_section


KIND: Final = "AWS credentials"

IN_PROFILES: Final = (
    ("role_arn", "AWS role"),
    ("web_identity_token_file", "AWS role by web identity"),
    ("sso_session", "AWS IAM Identity Center"),
    ("sso_start_url", "AWS IAM Identity Center"),
    ("aws_access_key_id", "AWS access key"),
    ("login_session", "session of aws login"),
    ("credential_process", "credential_process"),
)
"""Keys of a profile that promise credentials, in botocore's order, and what each is."""

CONTAINER: Final = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")

_VARIABLE: Final = "environment variable"
_PROFILE: Final = "AWS profile"

DMI: Final = Path("/sys/class/dmi/id")
"""What the firmware says of the machine, on Linux; world-readable files of one line."""


def named_profile(profile: Profile) -> Detected | None:
    """Say which profile the settings name; that it does not exist is found out when it is used."""
    name = profile.settings_as(BedrockSettings).aws_profile
    if name is None:
        return None
    return in_profile(name) or Detected(kind=KIND, origin=f"{_PROFILE} {name!r}")


def by_environment(profile: Profile) -> Detected | None:
    """Say what the environment, the container or the instance hands in, if botocore will take that and no profile's."""
    detected = default_chain(profile)
    return None if detected is None or detected.origin.startswith(_PROFILE) else detected


def default_chain(profile: Profile) -> Detected | None:  # noqa: ARG001  the signature is Source.look's
    """Say where botocore will find credentials: environment, profile, container or instance."""
    environ = os.environ
    if key := environ.get("AWS_ACCESS_KEY_ID"):
        return Detected(kind="AWS access key", origin=f"{_VARIABLE} AWS_ACCESS_KEY_ID", last_four=key[-4:])
    if environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return Detected(kind="AWS role by web identity", origin=f"{_VARIABLE} AWS_WEB_IDENTITY_TOKEN_FILE")
    name = ambient_profile(environ)
    if detected := in_profile(name):
        return detected
    if name != "default" and profile_section(name) is None:
        return Detected(kind=KIND, origin=f"{_PROFILE} {name!r}, which is not there")
    for variable in CONTAINER:
        if environ.get(variable):
            return Detected(kind="AWS credentials of a container", origin=f"{_VARIABLE} {variable}")
    return Detected(kind="AWS role of the instance", origin="instance metadata") if on_instance(environ) else None


def in_profile(name: str) -> Detected | None:
    """Say what a profile of AWS's tools promises."""
    section = profile_section(name) or {}
    for key, kind in IN_PROFILES:
        if section.get(key):
            shown = section[key][-4:] if key == "aws_access_key_id" else None
            return Detected(kind=kind, origin=f"{_PROFILE} {name!r}", last_four=shown)
    return None


def on_instance(environ: Mapping[str, str] = os.environ, dmi: Path = DMI) -> bool:
    """Whether instance metadata are worth asking: never where they are disabled, else where they can be known to be.

    Names of the vendor are those that AWS documents for telling its instances ("Identify EC2 instances").
    """
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return False
    if environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT"):
        return True
    return any("amazon" in _line(dmi / name).lower() for name in ("sys_vendor", "bios_vendor", "board_vendor"))


def _line(path: Path) -> str:
    try:
        return path.read_text("ascii", errors="replace")[:200]
    except OSError:
        return ""
