"""Describes this provider to the core."""

from __future__ import annotations

from typing import Final

from freshkey.plugin import Credential, Description, Profile
from freshkey_bedrock import own_files
from freshkey_bedrock.credential_process import write_credentials
from freshkey_bedrock.environment_keys import END_VARIABLES
from freshkey_bedrock.formats import FORMATS
from freshkey_bedrock.settings import BedrockSettings
from freshkey_bedrock.sources import SOURCES
from freshkey_bedrock.sso import addresses
from freshkey_bedrock.sso.credential import SsoCredential, binding


VARIABLES: Final = (
    *END_VARIABLES,
    "AWS_ACCESS_KEY_ID",
    "AWS_ACCOUNT_ID",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
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
"""Variables that AWS SDKs read to find or choose a credential, or that say when the keys end that the child does not
get; removed from the environment of child processes.

Variables for file locations and the region stay: they never override the credential that the child is given.
"""


def description(profile: Profile | None) -> Description:
    """Return the description, including what depends on the settings if a profile is given."""
    settings = profile.settings_as(BedrockSettings) if profile else BedrockSettings()
    return Description(
        title="Amazon Bedrock",
        settings=BedrockSettings,
        formats={**FORMATS, "bedrock-sso": SsoCredential},
        sources=SOURCES,
        single_use=True,  # AWS does not document whether its refresh tokens can be reused; assume that they cannot
        variables=VARIABLES,
        moved_by=own_files.VARIABLES,
        hosts=addresses.hosts(settings),
        binding=binding(settings.sso_start_url, settings.sso_account_id, settings.sso_role_name),
        exports={"credential-process": write_credentials},
        revoke=_revoke,
        revokes_alone=False,  # the portal's Logout ends the sign-in session, which the browser may have used again
    )


def _revoke(profile: Profile, credential: Credential) -> None:
    from freshkey_bedrock.renewal import revoke

    revoke(profile, credential)
