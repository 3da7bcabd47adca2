"""Profiles of Anthropic's own tools: selects one, parses its config file, and locates its credentials.

The config file's format and meaning are those of Anthropic's Python SDK 2.13.0 (``_providers.py``), with two
differences. Only the file decides where requests go, not ``ANTHROPIC_BASE_URL``, because a refresh token belongs to the
server that issued it. And relative paths are rejected, because they would name a different file in each working
directory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen

from freshkey.errors import ConfigurationError
from freshkey.plugin import Profile, is_token
from freshkey_claude_oauth.anthropic_cli import files
from freshkey_claude_oauth.endpoints import api_token_endpoint
from freshkey_claude_oauth.federation.rule import FederationRule
from freshkey_claude_oauth.settings import BASE_URL, ClaudeSettings, checked_profile_name


NAMED: Final = "anthropic-profile"
ACTIVE: Final = "anthropic-active-profile"

_USER: Final = "user_oauth"
_FEDERATION: Final = "oidc_federation"
_MAX_TEXT: Final = 1024


@frozen(kw_only=True)
class CliProfile:
    """A parsed config file.

    Attributes:
        name: The profile's name.
        path: The config file.
        credentials: The credentials file.
        token_endpoint: Where the token is renewed; an already checked URL.
        client_id: The client that the refresh token was issued to; None if another program renews the token.
        organization_id: ID of the organization.
        workspace_id: ID of the workspace.
        federation: How to exchange an identity token; None for a user's sign-in.
    """

    name: str
    path: Path
    credentials: Path
    token_endpoint: str
    client_id: str | None = None
    organization_id: str | None = None
    workspace_id: str | None = None
    federation: FederationRule | None = None

    def about(self, message: str) -> str:
        """Return a message that names this profile."""
        return f"Anthropic profile {self.name!r}: {message}"

    def flaw(self, message: str, hint: str | None = None, code: str | None = None) -> ConfigurationError:
        """Return the error for a problem with this profile."""
        return ConfigurationError(
            self.about(message), hint=hint or self.sign_in_hint, code=code or "claude-invalid-cli-profile"
        )

    @property
    def sign_in_hint(self) -> str:
        """The hint if a new sign-in is required; it must be made with Anthropic's tool, which owns the profile."""
        return f"Sign in again with the tool that created it, for example: ANTHROPIC_PROFILE={self.name} ant auth login"


# --- selection ------------------------------------------------------------------------------------------------------


def name_of(source_id: str, profile: Profile, environ: Mapping[str, str]) -> str | None:
    """Return the name of the Anthropic profile that a source refers to; None if there is none.

    Args:
        source_id: `NAMED` for the setting ``anthropic_profile``, or else ``ANTHROPIC_PROFILE``; `ACTIVE` for the name
            in the file ``active_config``, or else ``default`` if that profile exists.
        profile: The freshkey profile, for its settings.
        environ: The environment.

    Raises:
        ConfigurationError: The name is invalid.
    """
    if source_id == NAMED:
        chosen = profile.settings_as(ClaudeSettings).anthropic_profile
        if chosen:
            return chosen
        named = environ.get("ANTHROPIC_PROFILE")
        return checked_profile_name(named, "ANTHROPIC_PROFILE") if named else None
    base = files.checked_directory(environ)
    active = files.active_name(base)
    if active is None and files.config_path(base, files.DEFAULT_NAME).is_file():
        return files.DEFAULT_NAME
    return active


# --- config file ----------------------------------------------------------------------------------------------------


def load(name: str, environ: Mapping[str, str], *, insecure: bool = False) -> CliProfile:
    """Read the config file of a profile. Variables fill in what it omits, except where requests go.

    Args:
        name: A valid name.
        environ: The environment.
        insecure: Accept http on 127.0.0.1, ::1 and localhost.

    Raises:
        ConfigurationError: The config file does not exist, is unsafe, or is invalid.
    """
    try:
        base = files.checked_directory(environ)
        path = files.config_path(base, name)
        return _Config(name, path, _facts(path), environ).profile(files.credentials_path(base, name), insecure=insecure)
    except ConfigurationError as error:
        flaw = ConfigurationError(f"Anthropic profile {name!r}: {error.message}", hint=error.hint, code=error.code)
    raise flaw


def _facts(path: Path) -> Mapping[str, Any]:
    facts = files.read_config(path)
    if facts is None:
        hint = "Check ANTHROPIC_PROFILE, anthropic_profile and ANTHROPIC_CONFIG_DIR"
        raise ConfigurationError(f"{path} does not exist", hint=hint, code="claude-unknown-cli-profile")
    return facts


@frozen
class _Config:
    """A config file, parsed member by member."""

    name: str
    path: Path
    facts: Mapping[str, Any] = field(repr=False)
    environ: Mapping[str, str] = field(repr=False)

    def profile(self, credentials: Path, *, insecure: bool) -> CliProfile:
        authentication = self._table("authentication")
        kind = authentication.get("type")
        if kind not in (_USER, _FEDERATION):
            raise self._wrong("authentication.type", f"{_USER} or {_FEDERATION}")
        # Not ANTHROPIC_BASE_URL: it often names a gateway, and is easier to set than this file.
        # See docs/decisions.md, "Only its profile decides where a refresh token is sent".
        base_url = self._text(self.facts, "base_url") or BASE_URL
        endpoint = api_token_endpoint(base_url, what=f"{self.path}: base_url", insecure=insecure)
        return CliProfile(
            name=self.name,
            path=self.path,
            credentials=self._file(authentication, "credentials_path") or credentials,
            token_endpoint=endpoint,
            client_id=self._text(authentication, "client_id"),
            organization_id=self._filled(self.facts, "organization_id"),
            workspace_id=self._filled(self.facts, "workspace_id"),
            federation=self._federation(authentication, endpoint) if kind == _FEDERATION else None,
        )

    def _federation(self, authentication: Mapping[str, Any], endpoint: str) -> FederationRule:
        rule = self._filled(authentication, "federation_rule_id")
        organization = self._filled(self.facts, "organization_id")
        if not rule or not organization:
            raise self._wrong("authentication.federation_rule_id and organization_id", "set")
        return FederationRule(
            rule_id=rule,
            organization_id=organization,
            service_account_id=self._filled(authentication, "service_account_id"),
            workspace_id=self._filled(self.facts, "workspace_id"),
            identity_token_file=self._identity_token_file(authentication),
            token_endpoint=endpoint,
        )

    def _identity_token_file(self, authentication: Mapping[str, Any]) -> Path:
        if authentication.get("identity_token"):
            told = self._table("identity_token", authentication)
            path = self._file(told, "path") if told.get("source") == "file" else None
            if path is None:
                raise self._wrong("authentication.identity_token", 'an object with source "file" and a path')
            return path
        variable = self.environ.get("ANTHROPIC_IDENTITY_TOKEN_FILE")
        if not variable:
            raise self._wrong("authentication.identity_token", "set, unless ANTHROPIC_IDENTITY_TOKEN_FILE is set")
        return Path(variable)

    def _table(self, key: str, within: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        value = (self.facts if within is None else within).get(key)
        if not isinstance(value, dict):
            raise self._wrong(key, "an object")
        return value

    def _text(self, table: Mapping[str, Any], key: str) -> str | None:
        value = table.get(key)
        if value is None or value == "":
            return None
        if not is_token(value, _MAX_TEXT):
            raise self._wrong(key, "a short string without spaces")
        return value

    def _filled(self, table: Mapping[str, Any], key: str) -> str | None:
        return self._text(table, key) or self.environ.get(f"ANTHROPIC_{key.upper()}") or None

    def _file(self, table: Mapping[str, Any], key: str) -> Path | None:
        value = table.get(key)
        if value is None or value == "":
            return None
        known = isinstance(value, str) and value.isprintable()
        path = Path(os.path.expanduser(value) if known else "")  # noqa: PTH111  Path.expanduser raises for unknown users
        if not path.is_absolute():
            raise self._wrong(key, "an absolute path")
        return path

    def _wrong(self, key: str, expected: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self.path}: {key} must be {expected}", hint="Fix that file", code="claude-invalid-cli-profile"
        )
