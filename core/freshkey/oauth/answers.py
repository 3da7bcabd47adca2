"""What an authorization server answers, read strictly: a value, or an error that says what to do next.

Every reader here is total: whatever bytes arrive, it returns its value or raises an error of the contract, and no
error quotes the answer.
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
"""Seconds; some servers write a far larger number where they mean "for ever"."""

_DIGITS: Final = re.compile(r"[0-9]{1,18}")
_USER_CODE: Final = re.compile(r"[ -~]{1,64}")
_TOKEN_TYPES: Final = {"bearer": "Bearer", "dpop": "DPoP"}
_KNOWN: Final = frozenset({"access_token", "refresh_token", "expires_in", "scope", "token_type"})


@frozen(kw_only=True)
class TokenAnswer:
    """What the token endpoint granted (RFC 6749, section 5.1).

    Attributes:
        access_token: The access token.
        refresh_token: A new refresh token; None means that the old one stays (RFC 6749, section 6).
        expires_in: Seconds from the receipt of the answer; None where the server did not say.
        scopes: What was granted; None where the server did not say, which means: what was asked for.
        token_type: ``Bearer`` (RFC 6750) or ``DPoP`` (RFC 9449); a server that leaves it out, or empty,
            means ``Bearer``.
        extra: All other members, unchecked. They may be secret, as an ID token is.
    """

    access_token: Secret
    refresh_token: Secret | None = None
    expires_in: float | None = None
    scopes: tuple[str, ...] | None = None
    token_type: str = "Bearer"  # noqa: S105  the type of a token is no token
    extra: Mapping[str, Any] = field(factory=dict, repr=False, hash=False)

    def granted(self, asked: tuple[str, ...]) -> tuple[str, ...]:
        """Return the scopes that were granted, given those that were asked for (RFC 6749, section 5.1)."""
        return asked if self.scopes is None else self.scopes


@frameless
def read_token(response: Response, now: float) -> TokenAnswer:
    """Read the answer to a code, refresh or device token request.

    ``expires_in`` may be an integer, a float without a fraction, or a string of ASCII digits, all of them from 0 on;
    absent or null gives None. More than ten years is read as ten years. Anything else (a boolean, a negative number,
    NaN, a number beyond 64 bits) makes the whole answer unreadable: guessing a lifetime would either use a token for
    too long or renew without end.

    Args:
        response: The answer.
        now: Seconds since 1970-01-01T00:00:00Z, to read a ``Retry-After`` date against.

    Raises:
        TransientError: Refused for now.
        LoginRequired: The code or refresh token is not accepted.
        ProviderRefused: The client or its request is not accepted.
        ProtocolError: The answer cannot be read; the grant may be spent.
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
    """Read the answer to a revocation request: success also says that the token was unknown (RFC 7009, section 2.2).

    Raises:
        TransientError: The token may still exist; try again (section 2.2.1).
        ProviderRefused: The server does not revoke this.
        ProtocolError: The answer cannot be read.
    """
    if 200 <= response.status < 300:  # noqa: PLR2004  RFC 9110, section 15.3
        return
    error = refusal_error(response, now)
    if isinstance(error, LoginRequired):
        # Nobody has to sign in before signing out.
        raise ProviderRefused(f"the authorization server refused to revoke: {read_refusal(response)}")
    raise error


# --- the device sign-in -------------------------------------------------------------------------------------------


@frozen(kw_only=True)
class DeviceCode:
    """What the person needs for a device sign-in (RFC 8628, section 3.2).

    Attributes:
        device_code: What the client polls with.
        user_code: What the person types; printable ASCII.
        verification_uri: Where the person types it; not checked yet.
        verification_uri_complete: The same with the code in it, where the server has one; not checked yet.
        expires_in: Seconds from the receipt of the answer.
        interval: Seconds between two polls.
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
    """Read the answer to a device request (RFC 8628, section 3.2). Raises as `read_token` does."""
    facts = _facts(response, now)
    lifetime, interval = _seconds(facts, "expires_in"), _seconds(facts, "interval")
    user_code, complete = facts.get("user_code"), facts.get("verification_uri_complete")
    if lifetime is None or not isinstance(user_code, str) or not _USER_CODE.fullmatch(user_code):
        raise _unreadable("user_code or expires_in")
    return DeviceCode(
        device_code=Secret(_text(facts, "device_code")),
        user_code=user_code,
        # The older name, from before the RFC.
        verification_uri=_text(facts, "verification_uri" if "verification_uri" in facts else "verification_url"),
        verification_uri_complete=None if complete is None else _text(facts, "verification_uri_complete"),
        expires_in=lifetime,
        interval=5.0 if interval is None else max(1.0, interval),
    )


@frameless
def read_device_token(response: Response, now: float) -> TokenAnswer | Poll:
    """Read the answer to a device token request (RFC 8628, section 3.5). Raises as `read_token` does."""
    code = read_refusal(response).code
    if response.status < 500 and code in {poll.value for poll in Poll}:  # noqa: PLR2004  RFC 9110, section 15.6
        return Poll(code)
    return read_token(response, now)


# --- members of an answer -----------------------------------------------------------------------------------------


def _facts(response: Response, now: float) -> dict[str, Any]:
    """Return the members of a success. A few servers send errors with status 200; they count as errors."""
    if not 200 <= response.status < 300 or read_refusal(response).code is not None:  # noqa: PLR2004  RFC 9110, section 15.3
        raise refusal_error(response, now)
    return parse_json_object(response.body)


def _unreadable(member: str) -> ProtocolError:
    return ProtocolError(f"the authorization server's answer has no readable {member}")


def _text(facts: Mapping[str, Any], member: str) -> str:
    """Return a token or an address: visible ASCII only, because a header will have it (RFC 6749, appendix A)."""
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
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value < 2**63 or value != int(value):
        raise _unreadable(member)
    return min(float(value), MAX_LIFETIME)


def _scopes(value: object) -> tuple[str, ...] | None:
    """Return the words of a string (RFC 6749, section 3.3), or of a list of strings, which some servers send."""
    if value is None:
        return None
    parts = value if isinstance(value, list) else [value]
    scopes = [scope for part in parts if isinstance(part, str) for scope in part.split(" ") if scope]
    if not all(isinstance(part, str) for part in parts) or not all(map(is_token, scopes)):
        raise _unreadable("scope")
    return tuple(scopes)


def _token_type(value: object) -> str:
    if value in (None, ""):
        return "Bearer"
    known = _TOKEN_TYPES.get(value.lower()) if isinstance(value, str) else None
    if known is None:
        raise _unreadable("token_type")
    return known
