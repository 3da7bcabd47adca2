"""Describes this provider to the core."""

from __future__ import annotations

from typing import Final

from freshkey.plugin import Credential, Description, Profile
from freshkey_vertex import adc, aws_own, credentials_file, env_token, metadata, project
from freshkey_vertex.formats import FORMATS
from freshkey_vertex.settings import VertexSettings
from freshkey_vertex.sources import SOURCES
from freshkey_vertex.transport import allowed_hosts


VARIABLES: Final = (
    env_token.GCLOUD_TOKEN.name,
    env_token.OAUTH_TOKEN.name,
    adc.CREDENTIALS_VARIABLE,
    credentials_file.EXECUTABLE_VARIABLE,
    *project.PROJECT_VARIABLES,
    project.QUOTA_VARIABLE,
    project.REGION_VARIABLE,
    *metadata.VARIABLES[:2],
    "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
    "CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT",
    "CLOUDSDK_CORE_PROJECT",
    "CLOUDSDK_BILLING_QUOTA_PROJECT",
    "GOOGLE_CREDENTIALS",
    "GOOGLE_IMPERSONATE_SERVICE_ACCOUNT",
)
"""Variables that Google's clients, ``gcloud`` and Terraform read to find a credential or a project."""

MOVED_BY: Final = (
    adc.CREDENTIALS_VARIABLE,
    adc.GCLOUD_VARIABLE,
    credentials_file.EXECUTABLE_VARIABLE,
    "CLOUDSDK_PYTHON",  # gcloud, which a sign-in may run, runs this
    *metadata.VARIABLES[:2],
    "GCE_METADATA_IP",
    *project.PROJECT_VARIABLES,
    project.QUOTA_VARIABLE,
    project.REGION_VARIABLE,
    *aws_own.VARIABLES,
)
"""Variables that move a file or an endpoint, or choose an identity or a project."""


def description(profile: Profile | None) -> Description:
    """Return the description; with a profile, it includes what depends on the settings."""
    settings = profile.settings_as(VertexSettings) if profile else None
    return Description(
        title="Google Vertex AI",
        settings=VertexSettings,
        formats=FORMATS,
        sources=SOURCES,
        variables=VARIABLES,
        moved_by=MOVED_BY,
        hosts=allowed_hosts(settings) if settings else (),
        binding=_binding(settings) if settings else {},
        revoke=_revoke,
        revokes_alone=False,  # not documented; the consent that both sign-ins are based on may be withdrawn
    )


def _binding(settings: VertexSettings) -> dict[str, str]:
    """Return the settings that a stored sign-in must match."""
    return {"token_endpoint": settings.token_url} | ({"client_id": settings.client_id} if settings.client_id else {})


def _revoke(profile: Profile, credential: Credential) -> None:
    from freshkey_vertex.signout import revoke

    revoke(profile, credential)
