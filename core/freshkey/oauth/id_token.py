"""Reads the claims of an ID token, for display: whose credential it is (OpenID Connect Core 1.0, section 3.1.3.7).

The signature is not verified: the token comes from the token endpoint over TLS, which vouches for it (point 6 there).
Never use this for a token from anywhere else, such as a browser.
See docs/decisions.md, "An ID token is read, and its signature is not verified".
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from attrs import evolve

from freshkey._json import parse_json_object
from freshkey.errors import ConfigurationError, ProtocolError, ProviderRefused, frameless
from freshkey.model.identity import Identity
from freshkey.oauth.answers import TokenAnswer
from freshkey.oauth.protocol import Server
from freshkey.secret import MAX_TOKEN


log = logging.getLogger(__name__)

_LEEWAY: Final = 180.0
"""Seconds before its time and after its end that an ID token is read: a few minutes, for clocks that differ (point 9).
"""

_REPORT: Final = "Report this to the provider's support"
_CLOCK: Final = "Check the clock of this computer. If it is right, report this to the provider's support"
_HINTS: Final = {
    **dict.fromkeys(("exp", "iat", "nbf"), _CLOCK),
    "auth_time": "The provider did not ask the user again after max_age. Report this to its support, or remove max_age",
}

_PART: Final = r"[A-Za-z0-9_-]"
_SIGNED: Final = re.compile(rf"({_PART}+)\.({_PART}+)\.{_PART}*")  # RFC 7515, section 3.1; empty without a signature
_MAX_SUBJECT: Final = 255
"""Maximum length of ``sub`` in characters (section 2)."""


@frameless
def read_id_token(
    answer: TokenAnswer,
    *,
    server: Server,
    client_id: str,
    now: float,
    nonce: str | None = None,
    max_age: float | None = None,
) -> Mapping[str, Any]:
    """Return the claims of the ID token in a token response, which the caller has just received over TLS.

    Call it after a sign-in. If a `refresh` hook calls it, it must catch the `ProtocolError`: the new tokens were paid
    for with the old one, and an identity is not worth them.

    Args:
        answer: The token response.
        server: The authorization server; its issuer must be known, and is compared with ``iss``.
        client_id: The client ID, which must be in ``aud``.
        now: Seconds since 1970-01-01T00:00:00Z, compared with ``exp``, ``iat`` and ``nbf``.
        nonce: What the authorization request sent as ``nonce``, if it did.
        max_age: Seconds since the user was last asked for a password or the like, if the authorization request sent
            ``max_age``; compared with ``auth_time``, which is then required (point 13).

    Raises:
        ConfigurationError: The issuer of the server is unknown.
        ProtocolError: There is no ID token, it is malformed or encrypted, or a claim is wrong. Nothing is quoted.
    """
    if server.issuer is None:
        raise ConfigurationError(
            "an ID token can be read only if the issuer of the server is known",
            hint="Set the issuer, or discover the server",
            code="invalid-issuer",
        )
    claims = _part(answer, 2)
    flaw = (
        ("iss" if claims.get("iss") != server.issuer else None)
        or (None if _is_for(claims, client_id) else "aud")
        or (None if _lasts(claims.get("exp"), now) else "exp")
        or next((name for name in ("iat", "nbf") if _is_later(claims.get(name), now)), None)
        or (None if nonce is None or _same(claims.get("nonce"), nonce) else "nonce")
        or (None if max_age is None or _lasts(claims.get("auth_time"), now - max_age) else "auth_time")
        or subject_flaw(claims)
    )
    if flaw:
        raise _invalid(f"the ID token has a missing or wrong claim ({flaw})", _HINTS.get(flaw, _REPORT))
    return claims


def identity_of(claims: Mapping[str, Any], *, organization: str | None = None, account: str = "sub") -> Identity:
    """Return whom the claims of an ID token or of a userinfo response describe (section 5.1).

    Args:
        claims: The claims.
        account: The name of the claim that identifies the user; another than ``sub`` is for servers that are not
            OpenID providers. It may be a number.
        organization: The name of the claim that identifies the organization, such as ``org_id`` or ``tid``; no standard
            has one.
    """

    def text(*names: str) -> str | None:
        found = (claims.get(name) for name in names)
        return next((value for value in found if isinstance(value, str) and value), None)

    return Identity(
        account=text(account) or (None if account == "sub" else _number(claims.get(account))),
        email=text("email"),
        organization=text(organization) if organization else None,
        display_name=text("name", "preferred_username", "nickname", "login"),
    )


def identity_after_renewal(
    answer: TokenAnswer, known: Identity, *, server: Server, client_id: str, now: float, organization: str | None
) -> tuple[Identity, ProviderRefused | None]:
    """Return whose the tokens of a renewal are, and why they must not be used; see the method of `OAuthClient`."""
    if server.issuer is None or "id_token" not in answer.extra:
        return known, None
    try:
        claims = read_id_token(answer, server=server, client_id=client_id, now=now)
    except ProtocolError as error:
        claims = _claims_of(answer, server)
        if not identity_of(claims, organization=organization).differs_from(known):
            log.warning("ignored the ID token of a renewal: %s", error.message)
            return known, None
    found = identity_of(claims, organization=organization)
    if found.differs_from(known):
        message = "the authorization server answered the renewal with the tokens of another user"
        return known, ProviderRefused(message, hint=f"{_REPORT}, then sign in again", code="another-user")
    # The ID token of a renewal often has no name.
    return evolve(found.completed_by(known), display_name=found.display_name or known.display_name), None


def _claims_of(answer: TokenAnswer, server: Server) -> Mapping[str, Any]:
    """Return the claims of an ID token of this server, unchecked; none if it cannot be read."""
    with suppress(ProtocolError):
        claims = _part(answer, 2)
        if claims.get("iss") == server.issuer and not subject_flaw(claims):
            return claims
    return {}


def _number(value: object) -> str | None:
    return str(value) if type(value) is int else None


def subject_flaw(claims: Mapping[str, Any]) -> str | None:
    """Return the name of the claim ``sub`` if it cannot be used (section 2)."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _MAX_SUBJECT:
        return "sub"
    # What cannot be seen is written as an escape where identities are compared, and may be cut off there.
    return None if subject.isascii() and subject.isprintable() else "sub"


@frameless
def id_token_header(answer: TokenAnswer) -> Mapping[str, Any]:
    """Return the header of the ID token in a token response, unchecked (RFC 7515, section 4).

    Raises:
        ProtocolError: There is no ID token, or it is malformed or encrypted. Nothing is quoted.
    """
    return _part(answer, 1)


def _part(answer: TokenAnswer, number: int) -> dict[str, Any]:
    """Return the JSON object in a part of the ID token: 1 for the header, 2 for the claims."""
    token = answer.extra.get("id_token")
    if not isinstance(token, str) or not token:
        raise _invalid("the token response has no ID token")
    found = _SIGNED.fullmatch(token) if len(token) <= MAX_TOKEN else None
    if found is None:
        raise _invalid("the ID token is malformed, or encrypted, which is not supported")
    with suppress(binascii.Error, ProtocolError):
        return parse_json_object(base64.urlsafe_b64decode(found[number] + "=" * (-len(found[number]) % 4)))
    raise _invalid("the ID token is malformed")


def _is_for(claims: Mapping[str, Any], client_id: str) -> bool:
    """Whether it was issued to this client; of several audiences, ``azp`` says to which (points 3 to 5)."""
    audience, party = claims.get("aud"), claims.get("azp")
    audiences = audience if isinstance(audience, list) else [audience]
    return client_id in audiences and (party == client_id or (party is None and len(audiences) == 1))


def _lasts(end: object, now: float) -> bool:
    return isinstance(end, int | float) and not isinstance(end, bool) and now < end + _LEEWAY


def _is_later(start: object, now: float) -> bool:
    """Whether it is from the future (point 10; RFC 7519, section 4.1.5)."""
    return isinstance(start, int | float) and now < start - _LEEWAY


def _same(given: object, expected: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(
        given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass")
    )


def _invalid(message: str, hint: str = _REPORT) -> ProtocolError:
    return ProtocolError(message, hint=hint, code="invalid-id-token")
