"""AWS credentials of the AWS profile named in the settings; the source ``aws-profile``."""

from __future__ import annotations

from typing import Final

from freshkey.plugin import SYSTEM, Clock, Detected, Interaction, Profile
from freshkey_bedrock import auth_refresh
from freshkey_bedrock.formats import AwsCredential
from freshkey_bedrock.settings import BedrockSettings
from freshkey_bedrock.shared_config import profile_section


ID: Final = "aws-profile"

KIND: Final = "AWS credentials"

ORIGIN: Final = "AWS profile"

CREDENTIAL_KEYS: Final = (
    ("role_arn", "AWS role"),
    ("web_identity_token_file", "AWS web identity role"),
    ("sso_session", "AWS IAM Identity Center"),
    ("sso_start_url", "AWS IAM Identity Center"),
    ("aws_access_key_id", "AWS access key"),
    ("login_session", "aws login session"),
    ("credential_process", "credential_process"),
)
"""Keys of an AWS profile that indicate credentials, in botocore's order, with the kind of each."""


def detect(profile: Profile) -> Detected | None:
    """Report the AWS profile named in the settings; whether it exists is checked only when it is used."""
    name = profile.settings_as(BedrockSettings).aws_profile
    if name is None:
        return None
    return detect_in(name) or Detected(kind=KIND, origin=f"{ORIGIN} {name!r}")


def detect_in(name: str) -> Detected | None:
    """Report what kind of credentials an AWS profile defines."""
    section = profile_section(name) or {}
    for key, kind in CREDENTIAL_KEYS:
        if section.get(key):
            shown = section[key][-4:] if key == "aws_access_key_id" else None
            return Detected(kind=kind, origin=f"{ORIGIN} {name!r}", last_four=shown)
    return None


def take(profile: Profile, interaction: Interaction, *, clock: Clock = SYSTEM) -> AwsCredential:
    """Return what botocore finds for that AWS profile only, running ``auth_refresh`` first if needed and configured.

    Raises the errors of `freshkey_bedrock.botocore_credentials.take`.
    """
    from freshkey_bedrock import botocore_credentials

    return auth_refresh.with_auth_refresh(
        profile, interaction, lambda: botocore_credentials.take(profile, explicit=True, clock=clock), clock=clock
    )
