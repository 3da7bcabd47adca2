"""Profiles of Anthropic's own tools: which one is meant, what its config file says, and where its credentials are.

Shape and meaning of the config file are those of Anthropic's Python SDK 2.13.0 (``_providers.py``). It differs in two
places: where requests go is said by the file alone, not by ``ANTHROPIC_BASE_URL``, because a refresh token belongs to
the server that issued it; and a relative path is refused, because it would name another file in each directory.
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
    """What a config file says.

    Attributes:
        name: The profile's name.
        path: The config file.
        credentials: The credentials file.
        token_endpoint: Where it is renewed; a checked address.
        client_id: The client that its refresh token was issued to; None where another program renews it.
        organization_id: Id of the organization.
        workspace_id: Id of the workspace.
        federation: What is exchanged for a token; None for the sign-in of a user.
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

    def flaw(self, message: str, hint: str | None = None) -> ConfigurationError:
        """Return the error that says what is wrong with this profile."""
        return ConfigurationError(self.about(message), hint=hint or self.sign_in_hint)

    @property
    def sign_in_hint(self) -> str:
        """What the user does where only a new sign-in helps; the tool is Anthropic's, and so is the profile."""
        return f"Sign in again with the tool that made it, such as: ANTHROPIC_PROFILE={self.name} ant auth login"


# --- which one ------------------------------------------------------------------------------------------------------


def name_of(source_id: str, profile: Profile, environ: Mapping[str, str]) -> str | None:
    """Return the name of the Anthropic profile that a source means; None if it means none.

    Args:
        source_id: `NAMED`: what the setting names, else ``ANTHROPIC_PROFILE``; or `ACTIVE`: what the file
            ``active_config`` names, else ``default`` where there is one.
        profile: Whose settings count.
        environ: The environment.

    Raises:
        ConfigurationError: It is no name.
    """
    if source_id == NAMED:
        chosen = profile.settings_as(ClaudeSettings).anthropic_profile
        if chosen:
            return chosen
        named = environ.get("ANTHROPIC_PROFILE")
        return checked_profile_name(named, "ANTHROPIC_PROFILE") if named else None
    base = files.directory(environ)
    active = files.active_name(base)
    if active is None and files.config_path(base, files.DEFAULT_NAME).is_file():
        return files.DEFAULT_NAME
    return active


# --- what it says ---------------------------------------------------------------------------------------------------


def load(name: str, settings: ClaudeSettings, environ: Mapping[str, str]) -> CliProfile:
    """Read the config file of a profile. Variables fill what it leaves out, but never where requests go.

    Args:
        name: A checked name.
        settings: Say whether http on loopback is accepted.
        environ: The environment.

    Raises:
        ConfigurationError: There is none, it cannot be trusted, or what it says cannot be used.
    """
    base = files.directory(environ)
    try:
        path = files.config_path(base, name)
        return _Config(name, path, _facts(path), environ).profile(settings, files.credentials_path(base, name))
    except ConfigurationError as error:
        flaw = ConfigurationError(f"Anthropic profile {name!r}: {error.message}", hint=error.hint)
    raise flaw


def _facts(path: Path) -> Mapping[str, Any]:
    facts = files.read_config(path)
    if facts is None:
        hint = "Check ANTHROPIC_PROFILE, anthropic_profile and ANTHROPIC_CONFIG_DIR"
        raise ConfigurationError(f"there is no config file {path}", hint=hint)
    return facts


@frozen
class _Config:
    """A config file, read member by member."""

    name: str
    path: Path
    facts: Mapping[str, Any] = field(repr=False)
    environ: Mapping[str, str] = field(repr=False)

    def profile(self, settings: ClaudeSettings, credentials: Path) -> CliProfile:
        authentication = self._table("authentication")
        kind = authentication.get("type")
        if kind not in (_USER, _FEDERATION):
            raise self._wrong("authentication.type", f"{_USER} or {_FEDERATION}")
        base_url = self._text(self.facts, "base_url") or BASE_URL
        insecure = settings.allow_insecure_loopback
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
                raise self._wrong("authentication.identity_token", 'a table with source "file" and a path')
            return path
        variable = self.environ.get("ANTHROPIC_IDENTITY_TOKEN_FILE")
        if not variable:
            raise self._wrong("authentication.identity_token", "set, or ANTHROPIC_IDENTITY_TOKEN_FILE in its place")
        return Path(variable)

    def _table(self, key: str, within: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        value = (self.facts if within is None else within).get(key)
        if not isinstance(value, dict):
            raise self._wrong(key, "a table")
        return value

    def _text(self, table: Mapping[str, Any], key: str) -> str | None:
        value = table.get(key)
        if value is None or value == "":
            return None
        if not is_token(value, _MAX_TEXT):
            raise self._wrong(key, "a short text without spaces")
        return value

    def _filled(self, table: Mapping[str, Any], key: str) -> str | None:
        return self._text(table, key) or self.environ.get(f"ANTHROPIC_{key.upper()}") or None

    def _file(self, table: Mapping[str, Any], key: str) -> Path | None:
        value = table.get(key)
        if value is None or value == "":
            return None
        known = isinstance(value, str) and value.isprintable()
        path = Path(os.path.expanduser(value) if known else "")  # noqa: PTH111  Path's own raises for unknown users
        if not path.is_absolute():
            raise self._wrong(key, "an absolute path")
        return path

    def _wrong(self, key: str, expected: str) -> ConfigurationError:
        return ConfigurationError(f"{self.path}: {key} must be {expected}", hint="Correct that file")
