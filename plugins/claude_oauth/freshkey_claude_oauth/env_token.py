"""Secrets passed in by the parent process: environment variables and inherited file descriptors."""

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
    descriptor_secret,
    detected_descriptor,
    detected_variable,
    required_variable,
)
from freshkey_claude_oauth.formats import ClaudeApiKey, ClaudeAuthToken, ClaudeToken
from freshkey_claude_oauth.settings import ClaudeSettings


Kind = Literal["API key", "bearer token", "OAuth token"]


@frozen(kw_only=True)
class EnvironmentVariable:
    """An environment variable, shared with other Claude tools, that contains the secret itself.

    Attributes:
        id: ID of the source.
        name: Name of the variable.
        kind: What it contains.
    """

    id: str
    name: str
    kind: Kind

    @property
    def title(self) -> str:
        """The title shown to the user."""
        return f"{self.kind} in {self.name}"

    def detect(self, profile: Profile) -> Detected | None:  # noqa: ARG002  the signature is Source.detect's
        """Report the variable if it is set."""
        return detected_variable(self.name, os.environ, kind=self.kind)

    def acquire(self, profile: Profile, obtained: Moment) -> Credential:
        """Return the credential in the variable.

        Raises:
            LoginRequired: The variable is not set.
            ConfigurationError: Its value cannot be a secret.
        """
        return credential(self.kind, required_variable(self.name, os.environ), profile, obtained)


@frozen(kw_only=True)
class FileDescriptor:
    """A file descriptor inherited from the parent process, from which the secret is read.

    Attributes:
        id: ID of the source.
        setting: The setting that contains the descriptor's number.
        name: The environment variable that is read if the setting is not set. Observed in Claude Code, undocumented.
        kind: What is read from it.
    """

    id: str
    setting: Literal["api_key_fd", "oauth_token_fd"]
    name: str
    kind: Kind

    @property
    def title(self) -> str:
        """The title shown to the user."""
        return f"{self.kind} from the file descriptor set in {self.setting} or {self.name}"

    def number(self, profile: Profile, environ: Mapping[str, str] = os.environ) -> int | None:
        """Return the descriptor's number, or None if neither setting nor variable is set.

        Raises:
            ConfigurationError: The variable is not a number.
        """
        settings = profile.settings_as(ClaudeSettings)
        configured = settings.api_key_fd if self.setting == "api_key_fd" else settings.oauth_token_fd
        named = environ.get(self.name)
        if configured is not None or not named:
            return configured
        if not (named.isascii() and named.isdigit() and len(named) <= 6):  # noqa: PLR2004  digits of any descriptor
            raise ConfigurationError(
                f"{self.name} is not a file descriptor number",
                profile=profile.name,
                hint=f"Set {self.name} to the number of an inherited file descriptor, or unset it",
                code="invalid-secret-input",
            )
        return int(named)

    def detect(self, profile: Profile) -> Detected | None:
        """Report an inherited descriptor, without reading from it."""
        return detected_descriptor(self.number(profile), kind=self.kind)

    def acquire(self, profile: Profile, obtained: Moment) -> Credential:
        """Return the credential; the descriptor is read only once per process.

        Raises:
            LoginRequired: Neither setting nor variable is set.
            ConfigurationError: The descriptor is not open, or what was read cannot be a secret.
            TransientError: The writer has not closed the other end yet.
        """
        number = self.number(profile)
        if number is None:
            message = f"neither {self.setting} nor {self.name} is set"
            hint = f"Set {self.setting} or {self.name} to the number of an inherited file descriptor"
            raise LoginRequired(message, profile=profile.name, hint=hint, code="no-credential-found")
        return credential(self.kind, descriptor_secret(number), profile, obtained)


def credential(kind: Kind, secret: Secret, profile: Profile, obtained: Moment) -> Credential:
    """Return a secret as a credential of its kind, with the headers it needs; the secret's prefix is ignored."""
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
