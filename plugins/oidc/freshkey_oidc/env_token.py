"""A finished token that the parent process hands in: in an environment variable or a file descriptor."""

from __future__ import annotations

import os

from freshkey import plugin
from freshkey.errors import LoginRequired
from freshkey.plugin import Detected, Profile, Secret
from freshkey_oidc.formats import OidcToken
from freshkey_oidc.settings import OidcSettings


def detect_variable(profile: Profile) -> Detected | None:
    """Report the variable that the settings name, if it is set."""
    return plugin.detected_variable(profile.settings_as(OidcSettings).token_variable, os.environ, kind="token")


def detect_descriptor(profile: Profile) -> Detected | None:
    """Report the inherited descriptor that the settings name, without reading from it."""
    return plugin.detected_descriptor(profile.settings_as(OidcSettings).token_fd, kind="token")


def from_variable(profile: Profile) -> OidcToken:
    """Return the token in the variable.

    Raises:
        LoginRequired: The variable is not set.
        ConfigurationError: Its value cannot be a token.
    """
    name = profile.settings_as(OidcSettings).token_variable
    if name is None:
        raise _unset("token_variable")
    return _token(profile, plugin.required_variable(name, os.environ))


def from_descriptor(profile: Profile) -> OidcToken:
    """Return the token from the descriptor, which is read once per process.

    Raises:
        LoginRequired: The setting is not set.
        ConfigurationError: The descriptor is not open, or what was read cannot be a token.
        TransientError: The writer has not closed the other end yet.
    """
    number = profile.settings_as(OidcSettings).token_fd
    if number is None:
        raise _unset("token_fd")
    return _token(profile, plugin.descriptor_secret(number))


def _token(profile: Profile, secret: Secret) -> OidcToken:
    settings = profile.settings_as(OidcSettings)
    return OidcToken(
        obtained=profile.clock.now(),
        clock=profile.clock,
        access_token=secret,
        userinfo_endpoint=settings.userinfo_endpoint,
        variable=settings.environment_variable,
    )


def _unset(setting: str) -> LoginRequired:
    return LoginRequired("no token was handed in", unsent=True, hint=f"Set {setting}", code="no-credential-found")
