"""Parsers for authorization server responses: each returns a value or raises the error for the caller.

A token response is read liberally, because it was paid for with a code or refresh token that may work only once.
For any input, each parser returns its value or raises one of the documented errors; no error quotes the response.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, Literal

from attrs import field, frozen

from freshkey._http.messages import generated_at
from freshkey.clock import Moment
from freshkey.errors import (
    FreshkeyError,
    IntermediaryAnswer,
    LoginRequired,
    ProtocolError,
    ProviderRefused,
    TransientError,
    frameless,
)
from freshkey.model.exchange import Response
from freshkey.model.interaction import is_user_code
from freshkey.oauth.error_response import clean_code, read_refusal, read_words, refusal_error, shown_code
from freshkey.oauth.lifetimes import MAX_LIFETIME, access_lifetime, read_seconds, refresh_lifetime
from freshkey.oauth.response_body import is_page, read_members
from freshkey.oauth.vendor_words import judge_device, normalize
from freshkey.secret import MAX_TOKEN, Secret, is_token


log = logging.getLogger(__name__)

_ACCESS_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  a name (RFC 8693, section 3)

_TOKEN_TYPES: Final = {
    "": "Bearer",
    "bearer": "Bearer",
    "dpop": "DPoP",
    "bearertoken": "Bearer",  # Apigee
    "bot": "Bearer",  # Slack, like the next one: whose token it is
    "user": "Bearer",
}
_DEVICE_STATUSES: Final[Mapping[int, Literal["declined", "expired"]]] = MappingProxyType(
    {HTTPStatus.GONE: "expired", HTTPStatus.IM_A_TEAPOT: "declined"}
)
"""What Trakt says without a word about a device code."""
_KNOWN: Final = frozenset({"access_token", "refresh_token", "expires_in", "scope", "token_type"})


@frozen(kw_only=True)
class TokenAnswer:
    """What the token endpoint granted (RFC 6749, section 5.1).

    Attributes:
        access_token: The access token; empty if the response has none that can be sent in a header.
        refresh_token: A new refresh token; None means that the old one remains in use (RFC 6749, section 6).
        expires_in: Seconds from when the response was generated; None if the response does not say.
        refresh_expires_in: Seconds until the refresh token itself expires; None if the response does not say.
        scopes: The granted scopes; None if the response does not include them, which means the requested ones.
        token_type: ``Bearer`` (RFC 6750) or ``DPoP`` (RFC 9449); ``Bearer`` if the server omits it or sends an empty
            string. Anything else is what the server sent, or ``unknown`` if that does not look like a word.
        requested: Reading of both clocks before the request was sent; lifetimes counted from it are never too long.
        extra: All other members, unchecked. They may be secret, such as an ID token.
    """

    access_token: Secret
    refresh_token: Secret | None = None
    expires_in: float | None = None
    refresh_expires_in: float | None = None
    scopes: tuple[str, ...] | None = None
    token_type: str = "Bearer"  # noqa: S105  a token type, not a token
    requested: Moment | None = field(default=None, eq=False)
    extra: Mapping[str, Any] = field(factory=dict, repr=False, hash=False)

    def granted(self, asked: tuple[str, ...]) -> tuple[str, ...]:
        """Return the granted scopes, given the requested ones (RFC 6749, section 5.1)."""
        return asked if self.scopes is None else self.scopes

    def unusable(self) -> ProviderRefused | None:
        """Return why the access token cannot be used as a bearer token; None if it can.

        The rest of the response still counts: a renewal returns a credential with its refresh token and this error as
        `Credential.unusable`, which is stored and never served.
        """
        if self.token_type != "Bearer":  # noqa: S105  a token type, not a token
            # An exchange may return an ID token, or an assertion for elsewhere (RFC 8693, section 2.2.1).
            exchanged = self.token_type.upper() == "N_A"
            return ProviderRefused(
                f"the server issued a token of type {self.token_type}; only bearer tokens are supported",
                hint=f"Request an access token: requested_token_type = {_ACCESS_TOKEN_TYPE}"
                if exchanged
                else "Register the client for bearer tokens",
                code="unsupported-token-type",
            )
        if not self.access_token:
            message = "the server issued an access token that cannot be sent in a header"
            return ProviderRefused(message, hint="Report this to the provider's support", code="unusable-access-token")
        return None


@frameless
def read_token(response: Response, now: float, *, as_itself: bool = False) -> TokenAnswer:
    """Read the response to a code, refresh or device token request.

    What can be read in a safe way is read, with a warning in the log: a lifetime that is fractional or a string, or an
    end instead of a lifetime; any scopes and token type. An unreadable lifetime counts as missing, and more than ten
    years as ten years. See docs/decisions.md, "A token response is read liberally".

    Args:
        response: The response.
        now: Seconds since 1970-01-01T00:00:00Z; a ``Retry-After`` date is relative to it.
        as_itself: Whether the client asked for a token of its own.

    Raises:
        TransientError: The server is temporarily unavailable, rate-limits the client, or was not reached.
        LoginRequired: The server rejected the code or refresh token, or with `as_itself` the client's secret or key.
        ProviderRefused: The server rejected the client or its request.
        IntermediaryAnswer: The response is probably not the server's.
        ProtocolError: The response is malformed; the grant may be spent.
    """
    facts = _granted(response)
    if facts is None:
        raise refusal_error(response, now, as_itself=as_itself)
    generated = generated_at(response.headers, now)
    return TokenAnswer(
        access_token=_access_token(facts.get("access_token")),
        refresh_token=_refresh_token(facts.get("refresh_token")),
        expires_in=access_lifetime(facts, generated),
        refresh_expires_in=refresh_lifetime(facts, generated),
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
        IntermediaryAnswer: The response is probably not the server's, so the token may still be valid.
        ProtocolError: The response is malformed.
    """
    if _is_success(response) and not is_page(response):
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
        user_code: The code that the user enters: letters and digits, perhaps in groups; at most 32 characters.
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
    """The user has not decided yet: ask again after the interval."""

    SLOW_DOWN = "slow_down"
    """As `PENDING`; from now on, the interval is 5 seconds longer."""


@frameless
def read_device(response: Response, now: float) -> DeviceCode:
    """Read the response to a device authorization request (RFC 8628, section 3.2). Raises like `read_token`."""
    facts = read_members(response)
    if facts is None or not _is_success(response) or read_refusal(response).code is not None:
        raise refusal_error(response, now)
    lifetime, interval = _seconds(facts, "expires_in"), _seconds(facts, "interval")
    user_code, complete = facts.get("user_code"), facts.get("verification_uri_complete")
    if lifetime is None or not is_user_code(user_code):
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
    if _granted(response) is None and response.status < 500:  # noqa: PLR2004  RFC 9110, section 15.6
        said = _said(response, refusal.code)
        for poll in (Poll.SLOW_DOWN, Poll.PENDING):
            if poll.value in said:
                return poll
    try:
        return read_token(response, now)
    except (LoginRequired, ProviderRefused, IntermediaryAnswer, TransientError) as error:
        end = _device_end(response, refusal.code, error)
        if end is None:
            raise
        expired = end == "expired"
    raise LoginRequired(
        f"the sign-in was not completed: {refusal}",
        hint="Start the sign-in again to get a new code",
        code="device-code-expired" if expired else "sign-in-not-completed",
    )


def _said(response: Response, code: str | None) -> set[str]:
    """Return the error codes, or if they say nothing in particular, the descriptions."""
    codes, texts = read_words(response)
    particular = normalize(code or "") not in {"", "invalid_request"}
    return set(map(normalize, [*codes, code or "", *([] if particular else texts)]))


def _device_end(response: Response, code: str | None, error: FreshkeyError) -> Literal["declined", "expired"] | None:
    """Return how the response ends the sign-in; None if it does not, or not in the words for a device code."""
    unavailable = isinstance(error, TransientError) and error.code != "request-blocked"
    if unavailable or response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED or is_page(response):
        return None
    codes, texts = read_words(response)
    found = judge_device([*codes, code or ""], texts, is_error=isinstance(error, LoginRequired | ProviderRefused))
    return found or (None if codes or any(texts) else _DEVICE_STATUSES.get(response.status))


# --- members of a response ----------------------------------------------------------------------------------------


def _is_success(response: Response) -> bool:
    return 200 <= response.status < 300  # noqa: PLR2004  RFC 9110, section 15.3


def _granted(response: Response) -> Mapping[str, Any] | None:
    """Return the members of a response that grants tokens; None for any other. Some errors have status 200."""
    facts = read_members(response) if _is_success(response) else None
    tokens = [facts.get(name) for name in ("access_token", "refresh_token")] if facts else []
    return facts if any(isinstance(token, str) and token for token in tokens) else None


def _unreadable(member: str) -> ProtocolError:
    return ProtocolError(f"the authorization server's response has no valid {member}")


def _access_token(value: object) -> Secret:
    """Return an access token; an empty one if it cannot be sent in a header. White space is never part of one."""
    sent = value.strip() if isinstance(value, str) else value
    return Secret(sent if is_token(sent) else "")


def _refresh_token(value: object) -> Secret | None:
    """Return a refresh token. It is sent in a body, where any text can be sent, so any text is kept."""
    if not value:  # also false, 0, or an empty list, as some languages write a missing one
        return None
    if type(value) is int:
        value = str(value)
    if isinstance(value, str) and len(value) <= MAX_TOKEN and not any("\ud800" <= each <= "\udfff" for each in value):
        return Secret(value)
    raise _unreadable("refresh_token")


def _text(facts: Mapping[str, Any], member: str) -> str:
    """Return a code or a URL: visible ASCII only."""
    value = facts.get(member)
    if not is_token(value):
        raise _unreadable(member)
    return value


def _seconds(facts: Mapping[str, Any], member: str) -> float | None:
    """Return the seconds in a response that nothing was spent for."""
    value = facts.get(member)
    seconds = read_seconds(value)
    if value is not None and seconds is None:
        raise _unreadable(member)
    return None if seconds is None else min(seconds, MAX_LIFETIME)


def _scopes(value: object) -> tuple[str, ...] | None:
    """Split a string (RFC 6749, section 3.3), or a list of strings, which some servers send, into scopes.

    Unreadable ones are left out; if none can be read, they count as omitted.
    """
    if value is None:
        return None
    parts = value if isinstance(value, list) else [value]
    found = [scope for part in parts for scope in (part.split() if isinstance(part, str) else [part])]
    scopes = tuple(scope for scope in found if is_token(scope))
    if len(scopes) == len(found):
        return scopes
    log.warning("the authorization server's response has an unreadable scope")
    return scopes or None


def _token_type(value: object) -> str:
    # Some servers omit it. An unknown one is kept, because refusing the response would lose its refresh token.
    sent = "" if value is None else clean_code(value) or ("" if isinstance(value, str) else "unknown")
    known = _TOKEN_TYPES.get(sent.lower())
    if known is not None:
        return known
    return sent if shown_code(sent) == sent else "unknown"
