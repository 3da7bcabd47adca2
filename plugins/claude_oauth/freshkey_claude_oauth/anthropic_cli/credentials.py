"""The credentials file of an Anthropic profile: its tokens, and all other members, which must survive a renewal.

The format is that of Anthropic's Python SDK 2.13.0 (``_providers.py``); times are Unix seconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from attrs import field, frozen

from freshkey.errors import ConfigurationError, LoginRequired, frameless
from freshkey.plugin import Identity, Secret, is_token, write_private
from freshkey_claude_oauth.anthropic_cli import files
from freshkey_claude_oauth.anthropic_cli.profiles import CliProfile
from freshkey_claude_oauth.identity import MAX_TEXT, with_display_name


_VERSION: Final = "1.0"
_TYPE: Final = "oauth_token"
_END_OF_TIME: Final = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
"""Unix seconds; a larger number must be a time in milliseconds."""

_DIGITS: Final = re.compile(r"[0-9]{1,18}")


@frozen(kw_only=True)
class Tokens:
    """The contents of a credentials file.

    Attributes:
        access_token: The bearer token.
        refresh_token: The refresh token, if there is one.
        expires_at: When the access token expires, in Unix seconds; None if the file does not say.
        written_at: When the file was written, in Unix seconds.
        facts: All members of the file, secrets included.
    """

    access_token: Secret
    refresh_token: Secret | None = None
    expires_at: float | None = None
    written_at: float
    facts: Mapping[str, Any] = field(factory=dict, repr=False)

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds until the access token expires; None if unknown.

        Args:
            now: The current time in Unix seconds.
        """
        return None if self.expires_at is None else self.expires_at - now

    @property
    def scopes(self) -> tuple[str, ...]:
        """The granted scopes, if the file lists any."""
        scope = self.facts.get("scope")
        return tuple(scope.split()) if isinstance(scope, str) else ()

    @property
    def identity(self) -> Identity:
        """Who the tokens belong to, as far as the file contains it."""
        name = self._shown("organization_name")
        return with_display_name(
            Identity(
                email=self._shown("account_email"),
                organization=self._shown("organization_uuid"),
                extra={"organization_name": name} if name else {},
            )
        )

    def _shown(self, member: str) -> str | None:
        value = self.facts.get(member)
        return value[:MAX_TEXT] if isinstance(value, str) and value.isprintable() and value else None


@frameless
def read_tokens(cli_profile: CliProfile) -> Tokens:
    """Read the credentials file of a profile.

    Raises:
        LoginRequired: There is no file, or it has no access token.
        ConfigurationError: The file is unsafe, unreadable or invalid. The message never quotes it.
    """
    facts = _facts(cli_profile)
    if facts is None:
        raise LoginRequired(
            cli_profile.about(f"{cli_profile.credentials} does not exist"),
            hint=cli_profile.sign_in_hint,
            code="claude-cli-not-signed-in",
        )
    if facts.get("type", _TYPE) != _TYPE:
        raise cli_profile.flaw(f"{cli_profile.credentials}: type must be {_TYPE}")
    access_token = _token(cli_profile, facts, "access_token")
    if access_token is None:
        raise LoginRequired(
            cli_profile.about(f"{cli_profile.credentials} has no access_token"),
            hint=cli_profile.sign_in_hint,
            code="claude-cli-not-signed-in",
        )
    return Tokens(
        access_token=access_token,
        refresh_token=_token(cli_profile, facts, "refresh_token"),
        expires_at=_seconds(cli_profile, facts.get("expires_at")),
        written_at=files.written_at(cli_profile.credentials),
        facts=facts,
    )


@frameless
def write_tokens(cli_profile: CliProfile, tokens: Tokens) -> None:
    """Replace the credentials file atomically, with mode 0600; it is on disk when this returns.

    Raises:
        StoreUnavailable: It could not be written; the old content is untouched.
    """
    facts: dict[str, Any] = {
        **tokens.facts,
        "version": _VERSION,
        "type": _TYPE,
        "access_token": tokens.access_token.reveal(),
        "expires_at": int(tokens.expires_at or 0),
    }
    if tokens.refresh_token is not None:
        facts["refresh_token"] = tokens.refresh_token.reveal()
    write_private(cli_profile.credentials, json.dumps(facts, indent=2).encode())


def _facts(cli_profile: CliProfile) -> dict[str, Any] | None:
    try:
        return files.read_credentials(cli_profile.credentials)
    except ConfigurationError as error:
        flaw = cli_profile.flaw(error.message, error.hint, code=error.code)
    raise flaw


def _token(cli_profile: CliProfile, facts: Mapping[str, Any], member: str) -> Secret | None:
    value = facts.get(member)
    if value is None or value == "":
        return None
    if not is_token(value):
        raise cli_profile.flaw(f"{cli_profile.credentials}: {member} is not a valid token")
    return Secret(value)


def _seconds(cli_profile: CliProfile, value: object) -> float | None:
    """Parse a time as the SDK does: a number, or a string of digits."""
    if value is None:
        return None
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _END_OF_TIME:
        raise cli_profile.flaw(f"{cli_profile.credentials}: expires_at must be a time in Unix seconds")
    return float(value)
