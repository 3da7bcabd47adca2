"""Reads who a credential belongs to, from the token response and from the profile endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from attrs import evolve

from freshkey.errors import FreshkeyError, ProtocolError
from freshkey.plugin import BoundSend, Identity, Request, Response, parse_json_object
from freshkey_claude_oauth.formats import ClaudeToken


PROFILE_TIMEOUT: Final = 10.0
"""Seconds; a sign-in does not wait longer for text that is only displayed."""

MAX_TEXT: Final = 200
"""Characters of a displayed text."""

_OWN_FIELDS: Final = frozenset({"account", "email", "organization"})
"""Fields of `Identity` itself; everything else goes into `Identity.extra`."""

_PLANS: Final = {
    "claude_max": "max",
    "claude_pro": "pro",
    "claude_team": "team",
    "claude_enterprise": "enterprise",
}

_TOKEN_PATHS: Final = {
    "account": ("account", "uuid"),
    "email": ("account", "email_address"),
    "organization": ("organization", "uuid"),
    "organization_name": ("organization", "name"),
}

# The email address has a different name here than in a token response.
_PROFILE_PATHS: Final = {
    "account": ("account", "uuid"),
    "email": ("account", "email"),
    "organization": ("organization", "uuid"),
    "organization_name": ("organization", "name"),
    "plan": ("organization", "organization_type"),
    "rate_limit_tier": ("organization", "rate_limit_tier"),
}


def from_token(extra: Mapping[str, Any], known: Identity = Identity()) -> Identity:  # noqa: B008  frozen
    """Return `known`, updated from the other members of a token response.

    A token response never contains plan and tier, so they are kept unless the account or organization changed.
    """
    return _updated(known, _read(extra, _TOKEN_PATHS))


def from_profile(facts: Mapping[str, Any], known: Identity) -> Identity:
    """Return `known`, updated from the profile endpoint. A plan that it reports as null or unknown is removed."""
    found = _read(facts, _PROFILE_PATHS)
    if "plan" in found:
        found["plan"] = _PLANS.get(found["plan"] or "")
    return _updated(known, found)


def profile_request(url: str, token: ClaudeToken) -> Request:
    """Return the request to the profile endpoint.

    Raises:
        CredentialExpired: The token has expired.
    """
    return Request(method="GET", url=url, headers={"Accept": "application/json", **token.headers("GET", url)})


def with_profile(token: ClaudeToken, url: str | None, send: BoundSend) -> tuple[ClaudeToken, str | None]:
    """Return the token with its identity completed by the profile endpoint, and what failed, if anything.

    A failure here costs neither the token nor what is already known.
    """
    if url is None:
        return token, None
    try:
        response = send(profile_request(url, token), deadline=PROFILE_TIMEOUT)
        if response.status != HTTPStatus.OK:
            return token, f"the profile endpoint responded with status {response.status}"
        return evolve(token, identity=read_profile(response, token.identity)), None
    except FreshkeyError as error:
        return token, error.message


def with_display_name(identity: Identity) -> Identity:
    """Return an identity that displays its organization's name if neither email nor account is known."""
    nameless = identity.email is None and identity.account is None
    return evolve(identity, display_name=identity.extra.get("organization_name") if nameless else None)


def read_profile(response: Response, known: Identity) -> Identity:
    """Return `known`, updated from a successful response of the profile endpoint.

    Raises:
        ProtocolError: The response cannot be parsed.
    """
    facts = parse_json_object(response.body)
    if not isinstance(facts.get("account"), dict | None) or not isinstance(facts.get("organization"), dict | None):
        raise ProtocolError("the profile endpoint's response has an unexpected structure")
    return from_profile(facts, known)


def _read(facts: Mapping[str, Any], paths: Mapping[str, tuple[str, str]]) -> dict[str, str | None]:
    """Return the fields that are present; a null field is present with the value None."""
    found: dict[str, str | None] = {}
    for name, (outer, inner) in paths.items():
        group = facts.get(outer)
        if isinstance(group, dict) and inner in group:
            found[name] = _text(group[inner])
    return found


def _text(value: object) -> str | None:
    """Return text without characters that could move a terminal's cursor or fail to encode."""
    if not isinstance(value, str):
        return None
    return "".join(character for character in value if character.isprintable())[:MAX_TEXT].strip() or None


def _updated(known: Identity, found: Mapping[str, str | None]) -> Identity:
    moved = any(
        found.get(name) and getattr(known, name) and found[name] != getattr(known, name)
        for name in ("account", "organization")
    )
    base = Identity() if moved else known
    extra = {**base.extra, **{name: text for name, text in found.items() if name not in _OWN_FIELDS}}
    return with_display_name(
        Identity(
            **{name: found.get(name, getattr(base, name)) for name in _OWN_FIELDS},
            extra={name: text for name, text in extra.items() if text is not None},
        )
    )
