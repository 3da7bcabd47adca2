"""Secrets that whoever started the process handed in: environment variables and inherited file descriptors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final, Literal

from attrs import frozen

from freshkey.errors import ConfigurationError, LoginRequired
from freshkey.plugin import (
    Credential,
    Detected,
    Moment,
    Profile,
    Secret,
    descriptor_is_there,
    descriptor_secret,
    environment_secret,
)
from freshkey_claude_oauth.formats import ClaudeApiKey, ClaudeAuthToken, ClaudeToken
from freshkey_claude_oauth.settings import ClaudeSettings


Kind = Literal["API key", "bearer token", "OAuth token"]


@frozen(kw_only=True)
class EnvironmentVariable:
    """An environment variable of other Claude tools that holds the secret itself.

    Attributes:
        id: Id of the source.
        name: Name of the variable.
        kind: What it holds.
    """

    id: str
    name: str
    kind: Kind

    @property
    def title(self) -> str:
        """What the user reads."""
        return f"{self.kind} in {self.name}"

    def detect(self, profile: Profile) -> Detected | None:  # noqa: ARG002  the signature is Source.detect's
        """Say whether it is set."""
        secret = environment_secret(self.name, os.environ)
        if secret is None:
            return None
        return Detected(
            kind=self.kind,
            origin=f"environment variable {self.name}",
            last_four=secret.last_four(),
            fingerprint=secret.fingerprint(),
        )

    def acquire(self, profile: Profile, obtained: Moment) -> Credential:
        """Return its credential.

        Raises:
            LoginRequired: It is not set.
            ConfigurationError: It holds no usable secret.
        """
        secret = environment_secret(self.name, os.environ)
        if secret is None:
            message = f"the environment variable {self.name} is not set"
            raise LoginRequired(message, profile=profile.name, hint=f"Set {self.name}")
        return credential(self.kind, secret, profile, obtained)


@frozen(kw_only=True)
class FileDescriptor:
    """A file descriptor that the parent process left open, with the secret in it.

    Attributes:
        id: Id of the source.
        setting: The setting that names the descriptor.
        name: The environment variable that names it where the setting does not. Observed in Claude Code, undocumented.
        kind: What it holds.
    """

    id: str
    setting: Literal["api_key_fd", "oauth_token_fd"]
    name: str
    kind: Kind

    @property
    def title(self) -> str:
        """What the user reads."""
        return f"{self.kind} in the file descriptor that {self.setting} or {self.name} names"

    def number(self, profile: Profile, environ: Mapping[str, str] = os.environ) -> int | None:
        """Return the descriptor's number, or None if nothing names one.

        Raises:
            ConfigurationError: The variable holds something else.
        """
        settings = profile.settings_as(ClaudeSettings)
        configured = settings.api_key_fd if self.setting == "api_key_fd" else settings.oauth_token_fd
        named = environ.get(self.name)
        if configured is not None or not named:
            return configured
        if not (named.isascii() and named.isdigit() and len(named) <= 6):  # noqa: PLR2004  digits of any descriptor
            raise ConfigurationError(f"{self.name} must be the number of a file descriptor", profile=profile.name)
        return int(named)

    def detect(self, profile: Profile) -> Detected | None:
        """Say whether something was handed over, without reading it."""
        number = self.number(profile)
        if number is None or not descriptor_is_there(number):
            return None
        return Detected(kind=self.kind, origin=f"file descriptor {number}")

    def acquire(self, profile: Profile, obtained: Moment) -> Credential:
        """Return its credential; the descriptor is read once.

        Raises:
            LoginRequired: Nothing names a descriptor.
            ConfigurationError: Nothing was handed over there, or no usable secret.
            TransientError: The other end has not closed yet.
        """
        number = self.number(profile)
        if number is None:
            message, hint = "no file descriptor was handed over", f"Set {self.setting} or {self.name}"
            raise LoginRequired(message, profile=profile.name, hint=hint)
        return credential(self.kind, descriptor_secret(number), profile, obtained)


def credential(kind: Kind, secret: Secret, profile: Profile, obtained: Moment) -> Credential:
    """Return a secret as a credential of its kind, with the headers that it needs; its prefix decides nothing."""
    if kind == "API key":
        return ClaudeApiKey(obtained=obtained, key=secret)
    if kind == "bearer token":
        return ClaudeAuthToken(obtained=obtained, key=secret)
    headers = profile.settings_as(ClaudeSettings).api_headers
    return ClaudeToken(obtained=obtained, access_token=secret, extra_headers=tuple(headers.items()))


AUTH_TOKEN: Final = EnvironmentVariable(id="auth-token", name="ANTHROPIC_AUTH_TOKEN", kind="bearer token")
API_KEY: Final = EnvironmentVariable(id="api-key", name="ANTHROPIC_API_KEY", kind="API key")
API_KEY_FD: Final = FileDescriptor(
    id="api-key-fd", setting="api_key_fd", name="CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR", kind="API key"
)
OAUTH_TOKEN: Final = EnvironmentVariable(id="oauth-token", name="CLAUDE_CODE_OAUTH_TOKEN", kind="OAuth token")
OAUTH_TOKEN_FD: Final = FileDescriptor(
    id="oauth-token-fd",
    setting="oauth_token_fd",
    name="CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR",
    kind="OAuth token",
)
