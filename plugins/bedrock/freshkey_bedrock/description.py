"""What this provider is, for the core to read."""

from __future__ import annotations

from typing import Final

from freshkey.plugin import Credential, Description, Profile
from freshkey_bedrock.credential_process import write_credentials
from freshkey_bedrock.formats import FORMATS
from freshkey_bedrock.settings import BedrockSettings
from freshkey_bedrock.sources import SOURCES
from freshkey_bedrock.sso import addresses
from freshkey_bedrock.sso.credential import SsoCredential, binding


VARIABLES: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_ACCOUNT_ID",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_CREDENTIAL_FILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
"""What AWS's SDKs look at to find a credential, or to choose another one. Where the files are, and which region, is
left to the child: neither chooses a credential over the one that it gets."""


def description(profile: Profile | None) -> Description:
    """Return the description, with what depends on settings where there is a profile."""
    settings = profile.settings_as(BedrockSettings) if profile else BedrockSettings()
    return Description(
        title="Amazon Bedrock",
        settings=BedrockSettings,
        formats={**FORMATS, "bedrock-sso": SsoCredential},
        sources=SOURCES,
        single_use=True,  # of the sign-in's refresh tokens nothing is documented: this is the careful answer
        variables=VARIABLES,
        hosts=addresses.hosts(settings),
        binding=binding(settings.sso_start_url, settings.sso_account_id, settings.sso_role_name),
        exports={"credential-process": write_credentials},
        revoke=_revoke,
    )


def _revoke(profile: Profile, credential: Credential) -> None:
    from freshkey_bedrock.renewal import revoke

    revoke(profile, credential)
