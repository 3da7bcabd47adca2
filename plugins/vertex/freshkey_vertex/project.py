"""Determines project, region and quota project of a credential: settings first, then Google's variables.

``gcloud`` may have a default project too, but it is never run to find out, because that would take seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from attrs import frozen

from freshkey.errors import ConfigurationError
from freshkey.plugin import Profile
from freshkey_vertex.settings import VertexSettings, checked_project, checked_region


PROJECT_VARIABLES: Final = ("GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "ANTHROPIC_VERTEX_PROJECT_ID")
"""The first two in google-auth's order; the third is used by Anthropic's clients."""

QUOTA_VARIABLE: Final = "GOOGLE_CLOUD_QUOTA_PROJECT"
REGION_VARIABLE: Final = "CLOUD_ML_REGION"


@frozen(kw_only=True)
class ResolvedProject:
    """Where a credential is used, and which project pays.

    Attributes:
        project: The project.
        region: The region, if configured.
        quota_project: The project that pays, if configured.
    """

    project: str
    region: str | None
    quota_project: str | None


def resolve_project(
    profile: Profile, environ: Mapping[str, str], *, project: object = None, quota_project: object = None
) -> ResolvedProject:
    """Return project, region and quota project for a credential.

    Args:
        profile: The profile.
        environ: The environment.
        project: The project in the credential itself.
        quota_project: The quota project in the credential itself.

    Raises:
        ConfigurationError: No project is configured anywhere, or a name is invalid.
    """
    settings = profile.settings_as(VertexSettings)
    named = _first(settings.project, PROJECT_VARIABLES, environ) or _own(project, "project_id of the credential")
    if named is None:
        raise ConfigurationError(
            "no Google Cloud project is configured",
            profile=profile.name,
            hint=f'Set project = "…" under [profiles.{profile.name}] in config.toml, or set GOOGLE_CLOUD_PROJECT',
            code="vertex-no-project",
        )
    quota = _first(settings.quota_project, (QUOTA_VARIABLE,), environ)
    region = settings.region or environ.get(REGION_VARIABLE)
    return ResolvedProject(
        project=named,
        region=checked_region(region, REGION_VARIABLE) if region else None,
        quota_project=quota or _own(quota_project, "quota_project_id of the credential"),
    )


def _first(setting: str | None, variables: Iterable[str], environ: Mapping[str, str]) -> str | None:
    if setting is not None:
        return setting
    name = next((name for name in variables if environ.get(name)), None)
    return checked_project(environ[name], name) if name else None


def _own(value: object, origin: str) -> str | None:
    return checked_project(value, origin) if isinstance(value, str) and value else None
