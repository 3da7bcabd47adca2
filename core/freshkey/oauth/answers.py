"""Strict parsers for authorization server responses: each returns a value or raises the error for the caller.

For any input, each parser returns its value or raises one of the documented errors; no error quotes the response.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from attrs import field, frozen

from freshkey._http.messages import Response
from freshkey._json import parse_json_object
from freshkey.errors import LoginRequired, ProtocolError, ProviderRefused, frameless
from freshkey.oauth.error_response import read_refusal, refusal_error
from freshkey.secret import Secret, is_token


MAX_LIFETIME: Final = 10 * 366 * 86400.0
"""Seconds; some servers send a far larger number to mean "forever"."""

_DIGITS: Final = re.compile(r"[0-9]{1,18}")
_USER_CODE: Final = re.compile(r"[ -~]{1,64}")
_TOKEN_TYPES: Final = {"bearer": "Bearer", "dpop": "DPoP"}
_KNOWN: Final = frozenset({"access_token", "refresh_token", "expires_in", "scope", "token_type"})


@frozen(kw_only=True)
class TokenAnswer:
    """What the token endpoint granted (RFC 6749, section 5.1).

    Attributes:
        access_token: The access token.
        refresh_token: A new refresh token; None means that the old one remains in use (RFC 6749, section 6).
        expires_in: Seconds from receipt of the response; None if the response does not include it.
        scopes: The granted scopes; None if the response does not include them, which means the requested ones.
        token_type: ``Bearer`` (RFC 6750) or ``DPoP`` (RFC 9449); ``Bearer`` if the server omits it or sends an empty
            string.
        extra: All other members, unchecked. They may be secret, such as an ID token.
    """

    access_token: Secret
    refresh_token: Secret | None = None
    expires_in: float | None = None
    scopes: tuple[str, ...] | None = None
    token_type: str = "Bearer"  # noqa: S105  a token type, not a token
    extra: Mapping[str, Any] = field(factory=dict, repr=False, hash=False)

    def granted(self, asked: tuple[str, ...]) -> tuple[str, ...]:
        """Return the granted scopes, given the requested ones (RFC 6749, section 5.1)."""
        return asked if self.scopes is None else self.scopes


@frameless
def read_token(response: Response, now: float) -> TokenAnswer:
    """Read the response to a code, refresh or device token request.

    ``expires_in`` may be a non-negative integer, a float without a fraction, or a string of ASCII digits; absent or
    null gives None. More than ten years is capped at ten years. Anything else (a boolean, a negative number, NaN, a
    number that does not fit in 64 bits) makes the whole response invalid: a guessed lifetime would mean using a token
    for too long or renewing in a loop.

    Args:
        response: The response.
        now: Seconds since 1970-01-01T00:00:00Z; a ``Retry-After`` date is relative to it.

    Raises:
        TransientError: The server is temporarily unavailable or rate-limits the client.
        LoginRequired: The server rejected the code or refresh token.
        ProviderRefused: The server rejected the client or its request.
        ProtocolError: The response is malformed; the grant may be spent.
    """
    facts = _facts(response, now)
    return TokenAnswer(
        access_token=Secret(_text(facts, "access_token")),
        refresh_token=None if facts.get("refresh_token") in (None, "") else Secret(_text(facts, "refresh_token")),
        expires_in=_seconds(facts, "expires_in"),
        scopes=_scopes(facts.get("scope")),
        token_type=_token_type(facts.get("token_type")),
        extra=MappingProxyType({name: value for name, value in facts.items() if name not in _KNOWN}),
    )


@frameless
def read_revocation(response: Response, now: float) -> None:
    """Read the response to a revocation request, which also succeeds for an unknown token (RFC 7009, section 2.2).

    Raises:
        TransientError: The token may still be valid; try again (section 2.2.1).
        ProviderRefused: The server refuses to revoke this token.
        ProtocolError: The response is malformed.
    """
    if 200 <= response.status < 300:  # noqa: PLR2004  RFC 9110, section 15.3
        return
    error = refusal_error(response, now)
    if isinstance(error, LoginRequired):
        # Signing out must not ask the user to sign in first.
        raise ProviderRefused(
            f"the authorization server refused to revoke the token: {read_refusal(response)}", code="revocation-refused"
        )
    raise error


# --- device sign-in -----------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class DeviceCode:
    """The codes and URLs for a device sign-in (RFC 8628, section 3.2).

    Attributes:
        device_code: The code that the client polls with.
        user_code: The code that the user enters; printable ASCII.
        verification_uri: The page where the user enters it; not checked yet.
        verification_uri_complete: The same with the code included, if the server has one; not checked yet.
        expires_in: Seconds from receipt of the response.
        interval: Seconds between polls.
    """

    device_code: Secret
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    expires_in: float
    interval: float


class Poll(enum.Enum):
    """Why there is no token yet (RFC 8628, section 3.5)."""

    PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"


@frameless
def read_device(response: Response, now: float) -> DeviceCode:
    """Read the response to a device authorization request (RFC 8628, section 3.2). Raises like `read_token`."""
    facts = _facts(response, now)
    lifetime, interval = _seconds(facts, "expires_in"), _seconds(facts, "interval")
    user_code, complete = facts.get("user_code"), facts.get("verification_uri_complete")
    if lifetime is None or not isinstance(user_code, str) or not _USER_CODE.fullmatch(user_code):
        raise _unreadable("user_code or expires_in")
    return DeviceCode(
        device_code=Secret(_text(facts, "device_code")),
        user_code=user_code,
        # `verification_url` is the name from drafts of the RFC; some servers still use it.
        verification_uri=_text(facts, "verification_uri" if "verification_uri" in facts else "verification_url"),
        verification_uri_complete=None if complete is None else _text(facts, "verification_uri_complete"),
        expires_in=lifetime,
        interval=5.0 if interval is None else max(1.0, interval),
    )


@frameless
def read_device_token(response: Response, now: float) -> TokenAnswer | Poll:
    """Read the response to a device token request (RFC 8628, section 3.5). Raises like `read_token`."""
    refusal = read_refusal(response)
    if response.status < 500 and refusal.code in {poll.value for poll in Poll}:  # noqa: PLR2004  RFC 9110, section 15.6
        return Poll(refusal.code)
    try:
        return read_token(response, now)
    except LoginRequired:
        expired, declined = refusal.code == "expired_token", refusal.code == "access_denied"
        if not (expired or declined):
            raise
    raise LoginRequired(
        f"the sign-in was not completed: {refusal}",
        hint="Start the sign-in again to get a new code",
        code="device-code-expired" if expired else "sign-in-not-completed",
    )


# --- members of a response ----------------------------------------------------------------------------------------


def _facts(response: Response, now: float) -> dict[str, Any]:
    """Return the members of a successful response. Some servers send errors with status 200; those are errors."""
    if not 200 <= response.status < 300 or read_refusal(response).code is not None:  # noqa: PLR2004  RFC 9110, section 15.3
        raise refusal_error(response, now)
    return parse_json_object(response.body)


def _unreadable(member: str) -> ProtocolError:
    return ProtocolError(f"the authorization server's response has no valid {member}")


def _text(facts: Mapping[str, Any], member: str) -> str:
    """Return a token or a URL: visible ASCII only, because it is sent in headers (RFC 6749, appendix A)."""
    value = facts.get(member)
    if not is_token(value):
        raise _unreadable(member)
    return value


def _seconds(facts: Mapping[str, Any], member: str) -> float | None:
    value = facts.get(member)
    if value is None:
        return None
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    # A guess would mean returning an expired token, or renewing forever.
    # See docs/decisions.md, "An unreadable lifetime is an error, a missing one gets a default".
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value < 2**63 or value != int(value):
        raise _unreadable(member)
    return min(float(value), MAX_LIFETIME)


def _scopes(value: object) -> tuple[str, ...] | None:
    """Split a string (RFC 6749, section 3.3), or a list of strings, which some servers send, into scopes."""
    if value is None:
        return None
    parts = value if isinstance(value, list) else [value]
    scopes = [scope for part in parts if isinstance(part, str) for scope in part.split(" ") if scope]
    if not all(isinstance(part, str) for part in parts) or not all(map(is_token, scopes)):
        raise _unreadable("scope")
    return tuple(scopes)


def _token_type(value: object) -> str:
    # Some servers omit it, and refusing the response would lose its refresh token.
    # See docs/decisions.md, "A token response is refused only if it is harmful".
    if value in (None, ""):
        return "Bearer"
    known = _TOKEN_TYPES.get(value.lower()) if isinstance(value, str) else None
    if known is None:
        raise _unreadable("token_type")
    return known
