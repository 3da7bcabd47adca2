"""AWS credentials of the AWS profile named in the settings; the source ``aws-profile``."""

from __future__ import annotations

from typing import Final

from freshkey.plugin import Detected, Interaction, Profile
from freshkey_bedrock import auth_refresh, versions
from freshkey_bedrock.formats import AwsCredential
from freshkey_bedrock.settings import BedrockSettings
from freshkey_bedrock.shared_config import read_files


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
    found = Detected(kind=KIND, origin=f"{ORIGIN} {name!r}", version=versions.of_profile(name))
    return detect_in(name) or found


def detect_in(name: str) -> Detected | None:
    """Report what kind of credentials an AWS profile defines."""
    files = read_files()
    section = files.section(name) or {}
    version = versions.of_profile(name)
    for key, kind in CREDENTIAL_KEYS:
        if section.get(key):
            is_key = key == "aws_access_key_id"
            end = files.keys_end(name) if is_key else None
            return Detected(
                kind=kind,
                origin=f"{ORIGIN} {name!r}",
                expires_at=end.at if end else None,
                last_four=section[key][-4:] if is_key else None,
                version=version,
            )
    return None


def take(profile: Profile, interaction: Interaction) -> AwsCredential:
    """Return what botocore finds for that AWS profile only, running ``auth_refresh`` first if needed and configured.

    Raises the errors of `freshkey_bedrock.botocore_credentials.take`.
    """
    from freshkey_bedrock import botocore_credentials

    def found() -> AwsCredential:
        return botocore_credentials.take(profile, explicit=True)

    return auth_refresh.with_auth_refresh(profile, interaction, found)
