"""The authorization server of a profile: from the metadata of its issuer, or from the settings alone."""

from __future__ import annotations

from collections.abc import Collection

from attrs import evolve

from freshkey import oauth
from freshkey.errors import ProviderRefused
from freshkey.plugin import Profile
from freshkey_oidc.formats import OidcToken
from freshkey_oidc.settings import OPTIONAL, OidcSettings


def server(profile: Profile, look_for: Collection[str] = ()) -> oauth.Server:
    """Return the authorization server; what the settings name replaces what the metadata say.

    Args:
        profile: The profile.
        look_for: The optional endpoints to look for in the metadata; see `freshkey.oauth.discover`.

    Raises:
        ProviderRefused: Neither issuer nor token endpoint is set, or the metadata are unusable or another issuer's.
        TransientError: The metadata could not be fetched.
    """
    settings = profile.settings_as(OidcSettings)
    named = {name: url for name in OPTIONAL if (url := getattr(settings, name)) is not None}
    if settings.token_endpoint is not None:
        return oauth.Server(token_endpoint=settings.token_endpoint, issuer=settings.issuer, **named)
    if settings.issuer is None:
        raise ProviderRefused("issuer is not set", hint=setup(profile), code="oidc-issuer-missing")
    wanted = [name for name in look_for if name not in named]
    found = oauth.discover(profile, settings.issuer, hosts=settings.hosts, look_for=wanted)
    if "userinfo_endpoint" not in look_for:  # it knows only tokens of users (OpenID Connect Core 1.0, section 5.3)
        found = evolve(found, userinfo_endpoint=None)
    if "authorization_endpoint" in named:  # which knows nothing of what was pushed to the issuer
        found = evolve(found, pushed_authorization_request_endpoint=None)
    return evolve(found, **named)


def issued_by(credential: OidcToken) -> oauth.Server:
    """Return the server that issued a token, as it was then: its secrets go nowhere else, and nothing is fetched."""
    return oauth.Server(
        token_endpoint=credential.token_endpoint or "",
        issuer=credential.issuer,
        revocation_endpoint=credential.revocation_endpoint,
        userinfo_endpoint=credential.userinfo_endpoint,
        authentication_methods=(credential.authentication,),
    )


def setup(profile: Profile) -> str | None:
    """Return what to set before a token can be requested, as a hint; None if nothing is missing."""
    settings = profile.settings_as(OidcSettings)
    missing = [] if settings.issuer or settings.token_endpoint else ['issuer = "https://…"']
    missing += [] if settings.client_id else ['client_id = "…"']
    return f"Set {' and '.join(missing)} under [profiles.{profile.name}] in config.toml" if missing else None
