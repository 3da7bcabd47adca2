"""What an authorization server's refusal means for the caller, told without ever quoting the answer.

An answer can repeat what was sent, a refresh token included. So nothing of it is shown but the status, an error code
that looks like a word, and the id under which the provider's support finds the request.
"""

from __future__ import annotations

import re
from typing import Any, Final

from attrs import frozen

from freshkey._http.messages import Response, retry_after
from freshkey._json import parse_json_object
from freshkey.errors import FreshkeyError, LoginRequired, ProtocolError, ProviderRefused, TransientError


TRANSIENT_STATUSES: Final = frozenset({408, 429})
"""Refused for now; so is every 5xx."""

TRANSIENT_CODES: Final = frozenset(
    {"temporarily_unavailable", "server_error", "slow_down", "rate_limit_error", "overloaded_error", "api_error"}
)
"""Refused for now whatever the status: RFC 6749 (section 4.1.2.1), RFC 8628 (section 3.5), and the words of servers
that put an object into ``error``."""

USER_CODES: Final = frozenset(
    {
        "invalid_grant",  # RFC 6749, section 5.2
        "access_denied",  # RFC 6749, section 4.1.2.1; RFC 8628, section 3.5
        "expired_token",  # RFC 8628, section 3.5
        "login_required",  # these four: OpenID Connect Core 1.0, section 3.1.2.6
        "interaction_required",
        "consent_required",
        "account_selection_required",
    }
)
"""Only a person can change these."""

_WORD: Final = re.compile(r"[A-Za-z][A-Za-z_.-]*")
"""An error code that may be shown. Digits are left out because nearly every token has some."""

_REQUEST_ID: Final = re.compile(r"[0-9A-Za-z_.:/-]{1,64}")


@frozen
class Refusal:
    """An answer that is not what was asked for.

    Attributes:
        status: The HTTP status.
        code: The error code without control characters, 64 characters at the most; None if there was none. It is
            the server's text: compare it, but show it only through ``str`` of this value.
        request_id: The server's name for the request, where it gave one.
    """

    status: int
    code: str | None
    request_id: str | None

    def __str__(self) -> str:
        request = f", request {self.request_id}" if self.request_id else ""
        return f"{shown_code(self.code)} (status {self.status}{request})"


def read_refusal(response: Response) -> Refusal:
    """Read the error code and the request id; total, whatever the answer is.

    Two families of bodies exist: ``{"error": "invalid_grant"}`` (RFC 6749, section 5.2) and
    ``{"error": {"type": "rate_limit_error"}}``.
    """
    try:
        error: Any = parse_json_object(response.body).get("error")
    except ProtocolError:
        error = None
    code = clean_code(error.get("type") if isinstance(error, dict) else error)
    request_id = response.headers.get("request-id") or response.headers.get("x-request-id") or ""
    return Refusal(response.status, code, request_id if _REQUEST_ID.fullmatch(request_id) else None)


def refusal_error(response: Response, now: float) -> FreshkeyError:
    """Return the error that says what the caller does next.

    - A redirect, and a success that brings nothing: `ProtocolError`. Nobody follows a redirect with a secret.
    - 408, 429, 5xx, and codes that mean "for now": `TransientError`, with the server's ``Retry-After``.
    - ``invalid_grant`` and its like: `LoginRequired`.
    - Any other 4xx that can be read: `ProviderRefused`.
    - 400 or 401 without a readable code: `LoginRequired`. A clear 4xx says that the grant was not accepted, so sending
      it again could only look like theft; some servers refuse a spent refresh token in exactly this way.
    - Other 4xx without a readable code (an unknown path, a firewall's page): `ProviderRefused`.

    Args:
        response: An answer that did not bring what was asked for.
        now: Seconds since 1970-01-01T00:00:00Z.
    """
    refusal = read_refusal(response)
    if refusal.status < 400 and (refusal.status >= 300 or refusal.code is None):  # noqa: PLR2004  RFC 9110, 15.4
        return ProtocolError(f"the authorization server answered with what nobody asked for: {refusal}")
    if refusal.status in TRANSIENT_STATUSES or refusal.status >= 500 or refusal.code in TRANSIENT_CODES:  # noqa: PLR2004  RFC 9110, 15.6
        message = f"the authorization server refused for now: {refusal}"
        return TransientError(message, retry_after=retry_after(response.headers, now))
    if refusal.code in USER_CODES or (refusal.code is None and refusal.status in {400, 401}):
        return LoginRequired(f"the authorization server does not accept this sign-in: {refusal}", hint="Sign in again")
    hint = "Check the client id, the scopes and the endpoints of the provider's settings"
    return ProviderRefused(f"the authorization server refused: {refusal}", hint=hint)


def clean_code(value: object) -> str | None:
    """Return an error code of a server without control characters, 64 characters at the most."""
    if not isinstance(value, str):
        return None
    return "".join(character for character in value if "!" <= character <= "~")[:64] or None


def shown_code(code: str | None) -> str:
    """Return what people may see of a cleaned error code: a word, or that there is none."""
    return code if code and _WORD.fullmatch(code) else "no readable error code"
