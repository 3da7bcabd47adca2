"""Whose token it is, as Google tells: by the ID token of a sign-in, or by the endpoint that explains access tokens."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from freshkey.errors import ProtocolError
from freshkey.plugin import Identity, parse_json_object


_MAX_LENGTH: Final = 254
_PARTS: Final = 3


def from_id_token(members: Mapping[str, Any], known: Identity) -> Identity:
    """Return the identity that came along with a token answer, its gaps filled with what is known.

    The signature is not checked: it came from the token endpoint itself (OpenID Connect Core 1.0, section 3.1.3.7).
    It is display text, and anything that cannot be read is left out.
    """
    token = members.get("id_token")
    parts = token.split(".") if isinstance(token, str) else []
    if len(parts) != _PARTS:
        return known
    try:
        claims = parse_json_object(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ProtocolError, binascii.Error, ValueError):
        return known
    return from_claims(claims, known)


def from_claims(claims: Mapping[str, Any], known: Identity) -> Identity:
    """Return whose claims such as ``sub``, ``email`` and ``hd`` are, gaps filled with what is known."""
    told = Identity(
        account=shown_text(claims.get("sub")),
        email=shown_text(claims.get("email")),
        organization_name=shown_text(claims.get("hd")),
        project=known.project,
    )
    return told.completed_by(known)


def shown_text(value: object) -> str | None:
    """Return a name that can be shown and logged as it is; None for what is none."""
    usable = isinstance(value, str) and 0 < len(value) <= _MAX_LENGTH and value.isprintable()
    return str(value) if usable else None
