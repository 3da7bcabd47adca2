"""Describes this provider to the core."""

from __future__ import annotations

from urllib.parse import urlsplit

from freshkey.plugin import Credential, Description, Profile
from freshkey_oidc import sources
from freshkey_oidc.formats import FORMATS
from freshkey_oidc.settings import OPTIONAL, OidcSettings


def description(profile: Profile | None) -> Description:
    """Return the description; with a profile, it includes what depends on settings."""
    settings = OidcSettings() if profile is None else profile.settings_as(OidcSettings)
    # Who gets an access token need not be able to get the next one.
    secrets = (settings.token_variable, settings.client_secret_variable, settings.identity_token_variable)
    bound = {"issuer": settings.issuer, "token_endpoint": settings.token_endpoint, "client_id": settings.client_id}
    return Description(
        title="OpenID Connect",
        settings=OidcSettings,
        formats=FORMATS,
        sources=sources.SOURCES if profile is None else sources.of(settings, profile.source),
        single_use=settings.single_use and settings.flow != "client-credentials",  # which has no refresh token
        repeats_for=settings.repeats_for,
        hosts=_hosts(settings),
        binding={name: value for name, value in bound.items() if value is not None},
        variables=tuple(filter(None, (*secrets, settings.environment_variable))),
        moved_by=("ACTIONS_ID_TOKEN_REQUEST_URL",) if settings.identity_source == "github-actions" else (),
        revoke=_revoke,
        revokes_alone=settings.revoke_replaced,
    )


def _hosts(settings: OidcSettings) -> tuple[str, ...]:
    # Only the browser goes to the authorization endpoint.
    called = {"issuer", "token_endpoint", *OPTIONAL} - {"authorization_endpoint"}
    named = {urlsplit(url).hostname for name in called if (url := getattr(settings, name))}
    return tuple(sorted({*settings.hosts, *filter(None, named)}))


def _revoke(profile: Profile, credential: Credential) -> None:
    from freshkey_oidc.signout import revoke

    revoke(profile, credential)
