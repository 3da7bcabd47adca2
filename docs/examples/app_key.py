"""A provider for a program that proves who it is with its own key: a signed JWT (RFC 7523), without a user."""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import urlsplit

from attrs import field, frozen

from freshkey.errors import LoginRequired
from freshkey.oauth import OAuthClient, PrivateKeyJwt, Server
from freshkey.plugin import (
    Credential,
    Description,
    Detected,
    Inspection,
    Interaction,
    OAuthToken,
    Profile,
    Reason,
    Reporter,
    Secret,
    Source,
    Validity,
    hookimpl,
)


FRESHKEY_CONTRACT: Final = 1


@frozen(kw_only=True)
class Settings:
    """What a profile may set.

    Attributes:
        token_endpoint: Where tokens are issued.
        client_id: The ID of the app.
        variable: The environment variable with the app's private key in PEM format.
    """

    token_endpoint: str = "https://id.app.example/token"  # noqa: S105  a URL
    client_id: str = field(default="my-app", metadata={"bound": True})
    variable: str = "APP_PRIVATE_KEY"


@frozen(kw_only=True)
class AppToken(OAuthToken):
    """A token that the app's key replaces ahead of time."""

    @property
    def renewable(self) -> bool:
        """Always: nobody has to sign in."""
        return True


def detect(profile: Profile) -> Detected | None:
    """Look for the key."""
    variable = profile.settings_as(Settings).variable
    return Detected(kind="private key", origin=f"variable {variable}") if os.environ.get(variable) else None


KEY: Final = Source(id="app-key", title="The app's key", owned=True, automatic=True, detect=detect)


@hookimpl
def describe(profile: Profile | None, credential: Credential | None) -> Description | Inspection:
    """Describe this provider; the server has no way to check a token."""
    if credential is not None:
        return Inspection(validity=Validity.UNCHECKABLE, detail="the server has no way to check a token")
    endpoint = None if profile is None else profile.settings_as(Settings).token_endpoint
    return Description(
        title="App",
        settings=Settings,
        formats={"app-token": AppToken},
        sources=(KEY,),
        hosts=() if endpoint is None else (urlsplit(endpoint).hostname or "",),
    )


@hookimpl
def acquire(profile: Profile, source: Source, interaction: Interaction) -> Credential:
    """Exchange a signed assertion for a token."""
    return _fetch(profile, source.id)


@hookimpl
def refresh(profile: Profile, credential: Credential, reporter: Reporter, reason: Reason) -> Credential:
    """Exchange another assertion, whatever the reason is."""
    return _fetch(profile, credential.source)


def _fetch(profile: Profile, source: str) -> AppToken:
    settings = profile.settings_as(Settings)
    key = os.environ.get(settings.variable)
    if not key:
        raise LoginRequired("the app has no key", hint=f"Set {settings.variable}", unsent=True)
    server = Server(token_endpoint=settings.token_endpoint)
    authentication = PrivateKeyJwt(Secret(key))
    client = OAuthClient.of(profile, server, settings.client_id, authentication=authentication)
    answer = client.client_credentials()
    if (flaw := answer.unusable()) is not None:
        raise flaw
    return AppToken(
        obtained=answer.requested or profile.clock.now(),
        lifetime=answer.expires_in,
        source=source,
        clock=profile.clock,
        access_token=answer.access_token,
        client_id=settings.client_id,
        token_endpoint=settings.token_endpoint,
    )
