"""Maps an authorization server's error response to the error to raise, without quoting the response.

A response can echo what was sent, including a refresh token. So only three parts of it are shown: the status, an error
code that looks like a word, and the request ID, by which the provider's support can find the request.
"""

from __future__ import annotations

import re
from typing import Any, Final

from attrs import frozen

from freshkey._http.messages import Response, retry_after
from freshkey._json import parse_json_object
from freshkey.errors import FreshkeyError, LoginRequired, ProtocolError, ProviderRefused, TransientError


TRANSIENT_STATUSES: Final = frozenset({408, 429})
"""Temporary errors; so is every 5xx."""

TRANSIENT_CODES: Final = frozenset(
    {"temporarily_unavailable", "server_error", "slow_down", "rate_limit_error", "overloaded_error", "api_error"}
)
"""Temporary errors whatever the status: RFC 6749 (section 4.1.2.1), RFC 8628 (section 3.5), and the codes of servers
whose ``error`` is an object."""

USER_CODES: Final = frozenset(
    {
        "invalid_grant",  # RFC 6749, section 5.2
        "access_denied",  # RFC 6749, section 4.1.2.1; RFC 8628, section 3.5
        "expired_token",  # RFC 8628, section 3.5
        "login_required",  # this and the next three: OpenID Connect Core 1.0, section 3.1.2.6
        "interaction_required",
        "consent_required",
        "account_selection_required",
    }
)
"""Only the user can resolve these, by signing in."""

_WORD: Final = re.compile(r"[A-Za-z][A-Za-z_.-]*")
"""An error code that is safe to show. Digits are not allowed, because nearly every token contains some."""

_REQUEST_ID: Final = re.compile(r"[0-9A-Za-z_.:/-]{1,64}")


@frozen
class Refusal:
    """An error response.

    Attributes:
        status: The HTTP status.
        code: The error code, without control characters and at most 64 characters long; None if there is none. It is
            untrusted text from the server: compare it, but display it only as ``str(refusal)``.
        request_id: The server's ID for the request, if it sent one.
    """

    status: int
    code: str | None
    request_id: str | None

    def __str__(self) -> str:
        request = f", request {self.request_id}" if self.request_id else ""
        return f"{shown_code(self.code)} (status {self.status}{request})"


def read_refusal(response: Response) -> Refusal:
    """Read the error code and the request ID; works for any response.

    There are two kinds of bodies: ``{"error": "invalid_grant"}`` (RFC 6749, section 5.2) and
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
    """Return the error to raise for a response; its class determines what the caller does next.

    - A redirect, or a success without the expected content: `ProtocolError`. A redirect is never followed, because it
      would send the secrets in the request to another URL.
    - 408, 429, 5xx, and codes for temporary errors: `TransientError`, with the server's ``Retry-After``.
    - ``invalid_grant`` and similar codes: `LoginRequired`.
    - Any other 4xx with an error code: `ProviderRefused`.
    - 400 or 401 without an error code: `LoginRequired`. The server clearly rejected the grant, and sending it again
      would only look like token theft; some servers reject a spent refresh token in exactly this way.
    - Any other 4xx without an error code (an unknown path, a firewall's error page): `ProviderRefused`.

    Args:
        response: A response without the expected content.
        now: Seconds since 1970-01-01T00:00:00Z.
    """
    refusal = read_refusal(response)
    if refusal.status < 400 and (refusal.status >= 300 or refusal.code is None):  # noqa: PLR2004  RFC 9110, 15.4
        return ProtocolError(f"unexpected response from the authorization server: {refusal}")
    # The token may have been used behind a gateway, but the next response shows that; a sign-in after each 5xx would be
    # worse. See docs/decisions.md, "500, 502, 503 and 504 count as "refused for now"".
    if refusal.status in TRANSIENT_STATUSES or refusal.status >= 500 or refusal.code in TRANSIENT_CODES:  # noqa: PLR2004  RFC 9110, 15.6
        message = f"the authorization server cannot handle the request right now: {refusal}"
        return TransientError(message, retry_after=retry_after(response.headers, now), code="server-unavailable")
    # See docs/decisions.md, "A 400 or 401 without a readable error requires a sign-in".
    if refusal.code in USER_CODES or (refusal.code is None and refusal.status in {400, 401}):
        return LoginRequired(
            f"the authorization server rejected this sign-in: {refusal}",
            hint="Sign in again",
            code="sign-in-ended",
        )
    hint = "Check the client ID, the scopes and the endpoints in the provider's settings"
    return ProviderRefused(
        f"the authorization server refused the request: {refusal}", hint=hint, code="request-refused"
    )


def clean_code(value: object) -> str | None:
    """Return a server's error code without control characters, cut to 64 characters; None if there is none."""
    if not isinstance(value, str):
        return None
    return "".join(character for character in value if "!" <= character <= "~")[:64] or None


def shown_code(code: str | None) -> str:
    """Return a cleaned error code for display, or a placeholder if it does not look like a word."""
    return code if code and _WORD.fullmatch(code) else "no readable error code"
