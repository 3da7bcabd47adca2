"""Identities as Google reports them: in the ID token of a sign-in, or from the tokeninfo endpoint."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from attrs import evolve

from freshkey.errors import ProtocolError
from freshkey.plugin import Identity, parse_json_object


_MAX_TEXT: Final = 254
_JWT_PARTS: Final = 3


def from_id_token(members: Mapping[str, Any], known: Identity) -> Identity:
    """Return the identity in a token response, completed with what is already known.

    The signature is not verified: the ID token came directly from the token endpoint (OpenID Connect Core 1.0, section
    3.1.3.7). The identity is used only for display; anything that cannot be read is left out.
    """
    token = members.get("id_token")
    parts = token.split(".") if isinstance(token, str) else []
    if len(parts) != _JWT_PARTS:
        return known
    try:
        claims = parse_json_object(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ProtocolError, binascii.Error, ValueError):
        return known
    return from_claims(claims, known)


def from_claims(claims: Mapping[str, Any], known: Identity) -> Identity:
    """Return the identity in claims such as ``sub``, ``email`` and ``hd``, completed with what is already known."""
    told = Identity(
        account=shown_text(claims.get("sub")),
        email=shown_text(claims.get("email")),
        extra=_texts(organization_name=shown_text(claims.get("hd")), project=known.extra.get("project")),
    )
    return with_display_name(told.completed_by(known))


def with_project(identity: Identity, project: str) -> Identity:
    """Return an identity that includes the project."""
    return with_display_name(evolve(identity, extra={**identity.extra, "project": project}))


def with_display_name(identity: Identity) -> Identity:
    """Return an identity displayed as its organization or project if neither email nor account is known."""
    nameless = identity.email is None and identity.account is None
    name = identity.extra.get("organization_name") or identity.extra.get("project")
    return evolve(identity, display_name=name if nameless else None)


def _texts(**known: str | None) -> dict[str, str]:
    return {name: text for name, text in known.items() if text is not None}


def shown_text(value: object) -> str | None:
    """Return text that is safe to display and log; None for anything else."""
    usable = isinstance(value, str) and 0 < len(value) <= _MAX_TEXT and value.isprintable()
    return str(value) if usable else None
