"""Maps an authorization server's error response to the error to raise, without quoting the response.

A response can echo what was sent, including a refresh token. So only three parts of it are shown: the status, an error
code that looks like a word, and the request ID, by which the provider's support can find the request.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Final

from attrs import frozen

from freshkey._http.messages import retry_after
from freshkey._http.status import asks_to_wait
from freshkey.errors import (
    FreshkeyError,
    IntermediaryAnswer,
    LoginRequired,
    ProtocolError,
    ProviderRefused,
    TransientError,
)
from freshkey.model.exchange import Response
from freshkey.oauth.response_body import is_cut_off, is_page, plain_text, read_members
from freshkey.oauth.vendor_words import Verdict, is_oauth_code, judge, normalize


TRANSIENT_STATUSES: Final = frozenset({408, 429})
"""Temporary errors; so is every 5xx."""

_NEVER_THE_SERVERS: Final = frozenset({407, 511})
"""Whatever the body says: a proxy (RFC 9110, section 15.5.8) or the network (RFC 6585, section 6) wants a sign-in."""

_NEVER_A_FILTERS: Final = frozenset({402, 422})
"""Statuses that a web filter or a router does not use: any error code beside them is the server's."""

TRANSIENT_CODES: Final = frozenset(
    {
        "temporarily_unavailable",  # RFC 6749, section 4.1.2.1, like the next one
        "server_error",
        "slow_down",  # RFC 8628, section 3.5
        "rate_limit_error",  # this and the next two: servers whose `error` is an object
        "overloaded_error",
        "api_error",
        "ratelimited",  # this and the next five: Slack; status 200
        "rate_limited",
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
        "rate_limit_exceeded",  # OpenAI
        "too_many_requests",
        "unavailable",  # this and the next two: google.rpc.Code
        "resource_exhausted",
        "deadline_exceeded",
    }
)
"""Temporary errors whatever the status."""

_RATE_LIMITS: Final = frozenset(
    {"slow_down", "rate_limit_error", "ratelimited", "rate_limited", "rate_limit_exceeded", "too_many_requests"}
)
"""Those of them that say that there were too many requests."""

USER_CODES: Final = frozenset(
    {
        "access_denied",  # RFC 6749, section 4.1.2.1; RFC 8628, section 3.5
        "login_required",  # this and the next three: OpenID Connect Core 1.0, section 3.1.2.6
        "interaction_required",
        "consent_required",
        "account_selection_required",
    }
)
"""Only the user can resolve these, by signing in; so can a dead refresh token (`freshkey.oauth.vendor_words`)."""

HINTS: Final = {
    "invalid_client": "Check client_id, the client's secret or key, and how it authenticates, in the settings",
    "unauthorized_client": "Check at the provider which grant types client_id is registered for",
    "invalid_scope": "Check the scopes in the provider's settings; not every server knows offline_access",
    "invalid_target": "Check the resource and the audience in the provider's settings",
}
"""What to check after errors that are about one thing (RFC 6749, section 5.2; RFC 8707, section 2)."""

_NOT_OF_THE_TOKEN_ENDPOINT: Final = frozenset({"access_denied", "login_required"})
"""Words for which a web filter or a login page is as likely as a server: RFC 6749, section 5.2, does not have them."""

_RENAMED: Final = frozenset(
    {
        *("Payload Too Large", "Request Entity Too Large", "Content Too Large", "URI Too Long", "Request-URI Too Long"),
        *("Unprocessable Entity", "Unprocessable Content"),
        *("Requested Range Not Satisfiable", "Range Not Satisfiable"),
    }
)
"""Phrases that differ between RFC 7231 and RFC 9110, and therefore between versions of Python."""

_REASONS: Final = frozenset(
    normalize(phrase)
    for phrase in (*_RENAMED, *(status.phrase for status in HTTPStatus if status >= HTTPStatus.BAD_REQUEST))
)
"""What frameworks write into ``error`` whatever happened: NestJS and Spring, for example, the status in words."""

_CODES: Final = (
    *("code", "error", "error_code", "errorCode", "errcode", "type", "error_type", "errorType"),
    *("status", "reason", "name", "key", "id"),
)
"""Members that hold an error code: in an ``error`` that is an object, or beside it."""

_TEXTS: Final = (
    *("error_description", "errorDescription", "error_message", "errorMessage", "errorSummary", "message"),
    *("msg", "errmsg", "description", "detail", "title", "reason", "error", "faultstring"),
    *("err", "hint", "error_hint", "developerMessage"),
)

_MAX_ERRORS: Final = 5
"""Members of a list of errors that are looked at."""

_UNREADABLE: Final = "?"
"""Stands for the code of an error that has none."""

_WORD: Final = re.compile(r"[A-Za-z][A-Za-z_.-]*")
"""An error code that is safe to show. Digits are not allowed, because nearly every token contains some."""

_ON_THE_WAY: Final = (
    "Check whether the network asks you to log in, the proxy (HTTPS_PROXY), and the URLs in the profile's settings"
)

_OR_THE_PROVIDER: Final = f"{_ON_THE_WAY}; if nothing is wrong there, the provider refuses this account or client"

_REQUEST_ID: Final = re.compile(r"[0-9A-Za-z_.:/-]{1,64}")


@frozen
class Refusal:
    """An error response.

    Attributes:
        status: The HTTP status.
        code: The error code, without control characters and at most 64 characters long; None if there is none. It is
            untrusted text from the server: compare it, but display it only as ``str(refusal)``.
        request_id: The server's ID for the request, if it sent one.
        ended: Whether it says, in whatever words, that the refresh token is dead.
        doubtful: Whether it may say so, or is a gateway's word about a session or token of its own.
    """

    status: int
    code: str | None
    request_id: str | None
    ended: bool = False
    doubtful: bool = False

    def __str__(self) -> str:
        request = f", request {self.request_id}" if self.request_id else ""
        facts = f"status {self.status}{request}"
        return facts if self.code is None else f"{shown_code(self.code)} ({facts})"


def read_refusal(response: Response) -> Refusal:
    """Read the error code and the request ID; works for any response.

    The body is ``{"error": "invalid_grant"}`` (RFC 6749, section 5.2), or anything else that says so: an error that is
    an object, a list or just true, or a vendor's own words in other members.
    """
    members = read_members(response) or {}
    own = [code for code in _codes_of_error(members) if not _only_says_the_status(code, response.status)]
    # Without an error, other members are the server's word only if they use its vocabulary: the error pages of
    # gateways have members such as `status` and `message`, too.
    others = _strings(members, (*_CODES[2:], "code"))
    known = [each for each in others if is_oauth_code(each) or _weight(each, is_error=bool(own)) > 1]
    code = clean_code(_choose(own) or _choose(known))
    request_id = response.headers.get("request-id") or response.headers.get("x-request-id") or ""
    verdict = judge([*own, *others], [*_texts(members), plain_text(response)], is_error=bool(own))
    return Refusal(
        response.status,
        code,
        request_id if _REQUEST_ID.fullmatch(request_id) else None,
        ended=verdict is Verdict.ENDED,
        doubtful=verdict is Verdict.DOUBTFUL,
    )


def read_words(response: Response) -> tuple[list[str], list[str]]:
    """Return the error codes and the descriptions in a response: text of others, to compare and never to show."""
    members = read_members(response) or {}
    own = [code for code in _codes_of_error(members) if code != _UNREADABLE]
    return own, [*_texts(members), plain_text(response)]


def _codes_of_error(members: dict[str, Any]) -> list[str]:
    """Return the codes in the error member, in any shape; empty if there is no error."""
    error = _error(members)
    each = error[:_MAX_ERRORS] if isinstance(error, list) else [error]
    codes = [code for one in each for code in (_strings(one, _CODES) if isinstance(one, dict) else _strings({0: one}))]
    return codes if codes or not error else [_UNREADABLE]


def _only_says_the_status(code: str, status: int) -> bool:
    """Return whether a code says nothing that the status does not say; gateways answer so, too."""
    word = normalize(code)
    return code == str(status) or (word in _REASONS and word not in TRANSIENT_CODES)


def _texts(members: dict[str, Any]) -> list[str]:
    error = _error(members)
    inner = error[:_MAX_ERRORS] if isinstance(error, list) else [error]
    details = [members.get(name) for name in ("detail", "fault", "data", "status")]  # FastAPI; Apigee
    objects = [one for one in (members, *inner, *details) if isinstance(one, dict)]
    texts = [text for one in objects for text in _strings(one, _TEXTS)] + [one for one in inner if isinstance(one, str)]
    # Strava names what is invalid beside the code. Codes in details are not the server's for certain.
    texts += [" ".join(_strings(one, ("resource", "field", "code"))) for one in objects if one.get("code") == "invalid"]
    return texts + [code for one in details if isinstance(one, dict) for code in _strings(one, _CODES)]


def _error(members: dict[str, Any]) -> object:
    folded = _folded(members)
    return folded.get("error") or folded.get("errors")


def _folded(members: dict[Any, Any]) -> dict[Any, Any]:
    """Return members that can be found without regard to case, as in Apigee's ``Error``."""
    return {**{str(name).lower(): value for name, value in members.items()}, **members}


def _strings(members: dict[Any, Any], names: tuple[Any, ...] = (0,)) -> list[str]:
    folded = _folded(members)
    values = [folded.get(name, folded.get(str(name).lower())) for name in names]
    texts = [str(value) if type(value) is int and value else value for value in values]
    return [text for text in texts if isinstance(text, str) and clean_code(text)]


def _choose(codes: list[str]) -> str | None:
    """Return the code that says most."""
    return max(codes, key=_weight, default=None)


def _weight(code: str, *, is_error: bool = True) -> int:
    if judge([code], is_error=is_error):
        return 3
    return 2 if _is_one_of(code, TRANSIENT_CODES | USER_CODES) else int(bool(_WORD.fullmatch(code)))


def _is_one_of(code: str | None, codes: frozenset[str]) -> bool:
    return code is not None and not codes.isdisjoint({code, normalize(code)})


def refusal_error(response: Response, now: float, *, as_itself: bool = False) -> FreshkeyError:
    """Return the error to raise for a response without the expected content; its class says what the caller does next.

    Only the server's own word, an error in any shape, ends a sign-in or is final. With any 4xx except 400, 401, 402 and
    422, which filters and gateways use, too, it has to be a word of OAuth, mean a dead token, or be an object with a
    type and a message:

    - 408, 429, 5xx, and codes for temporary errors: `TransientError`, with the server's ``Retry-After``.
    - ``invalid_grant`` and whatever else means that the refresh token is dead: `LoginRequired`. It is doubtful for
      ``access_denied`` and ``login_required``, which are no errors of the token endpoint, and for what a gateway may
      say of a session or token of its own.
    - Any other error code: `ProviderRefused`.

    Everything else may come from something between this machine and the server, even an error that only repeats the
    status, in words or as a number:

    - A redirect, 407 and 511 with any body, and any 4xx except 400 and 401: `TransientError`, and only this process has
      to wait.
    - 400 and 401, or a success with something else: `IntermediaryAnswer`. It may be a refusal if it is 400 or 401 and
      not a page: some servers reject a dead refresh token without a word.
    - The beginning of a JSON object: `ProtocolError`; the rest is lost.

    Args:
        response: A response without the expected content.
        now: Seconds since 1970-01-01T00:00:00Z.
        as_itself: The client asked for a token of its own, so its secret or key is all that was presented: if that is
            not accepted (``invalid_client``), the error is `LoginRequired`.
    """
    refusal = read_refusal(response)
    status = refusal.status
    ended = refusal.ended or refusal.doubtful or _is_one_of(refusal.code, USER_CODES)
    if status in _NEVER_THE_SERVERS:
        return _not_the_servers(response, refusal)
    # The token may have been used behind a gateway, but the next response shows that; a sign-in after each 5xx would be
    # worse. See docs/decisions.md, "500, 502, 503 and 504 count as "refused for now"".
    if status in TRANSIENT_STATUSES or status >= 500 or _is_one_of(refusal.code, TRANSIENT_CODES):  # noqa: PLR2004  RFC 9110, section 15.6
        wait = retry_after(response.headers, now)
        limited = status == HTTPStatus.TOO_MANY_REQUESTS or _is_one_of(refusal.code, _RATE_LIMITS)
        message = f"the authorization server is temporarily unavailable: {refusal}{asks_to_wait(wait)}"
        if limited:
            message = f"the authorization server is limiting the rate of requests: {refusal}{asks_to_wait(wait)}"
        return TransientError(message, retry_after=wait, code="server-unavailable")
    if 300 <= status < 400 or not (ended or _is_the_servers(response, refusal)):  # noqa: PLR2004  RFC 9110, section 15.4
        return _not_the_servers(response, refusal)
    if ended:
        by_policy = _is_one_of(refusal.code, _NOT_OF_THE_TOKEN_ENDPOINT)
        return LoginRequired(
            f"the authorization server rejected this sign-in: {refusal}",
            doubtful=not refusal.ended and (refusal.doubtful or by_policy),
            hint="Sign in again",
            code="sign-in-ended",
        )
    if as_itself and refusal.code == "invalid_client":
        message = f"the authorization server does not accept the client's own secret or key: {refusal}"
        return LoginRequired(message, code="client-not-accepted")
    hint = HINTS.get(refusal.code or "", "Check the client ID, the scopes and the endpoints in the provider's settings")
    return ProviderRefused(
        f"the authorization server refused the request: {refusal}", hint=hint, code="request-refused"
    )


def _is_the_servers(response: Response, refusal: Refusal) -> bool:
    """Return whether an error is the authorization server's: with a status that a filter uses, not just any word."""
    if refusal.code is None:
        return False
    filters = 402 <= refusal.status < 500 and refusal.status not in _NEVER_A_FILTERS  # noqa: PLR2004  RFC 9110, section 15.5
    return not filters or is_oauth_code(refusal.code) or _is_described(response)


def _is_described(response: Response) -> bool:
    """Return whether an error is an object with a type of its own and a message, as APIs have it and filters do not."""
    error = _error(read_members(response) or {})
    if not isinstance(error, dict) or not _strings(error, ("message",)):
        return False
    return any(not _only_says_the_status(each, response.status) for each in _strings(error, ("type",)))


def _not_the_servers(response: Response, refusal: Refusal) -> FreshkeyError:
    """Return the error for a response without the server's word.

    See docs/decisions.md, "Only the server's own word ends a sign-in".
    """
    ambiguous = refusal.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED}
    success = 200 <= refusal.status < 300  # noqa: PLR2004  RFC 9110, section 15.3
    if refusal.status < 200 or ((success or ambiguous) and is_cut_off(response)):  # noqa: PLR2004  section 15.2
        return ProtocolError(f"unexpected response from the authorization server: {refusal}")
    if success or ambiguous:
        return IntermediaryAnswer(
            f"the response is probably not the authorization server's: {refusal}",
            may_be_refusal=ambiguous and not is_page(response),
            hint=_ON_THE_WAY,
        )
    if refusal.code is not None and 400 <= refusal.status < 500 and refusal.status not in _NEVER_THE_SERVERS:  # noqa: PLR2004  section 15.5
        return TransientError(
            f"the authorization server, or something on the way to it, refused the request: {refusal}",
            local=True,
            hint=_OR_THE_PROVIDER,
            code="request-blocked",
        )
    return TransientError(
        f"the request did not get through to the authorization server: {refusal}",
        local=True,
        hint=_ON_THE_WAY,
        code="request-blocked",
    )


def retryable(error: IntermediaryAnswer | TransientError) -> TransientError:
    """Return the error for a request that spends nothing: an answer of something on the way is like none at all."""
    if isinstance(error, TransientError):
        return error
    return TransientError(error.message, local=True, hint=error.hint, code="answered-in-between")


def clean_code(value: object) -> str | None:
    """Return a server's error code without control characters, cut to 64 characters; None if there is none."""
    if not isinstance(value, str):
        return None
    return "".join(character for character in value if "!" <= character <= "~")[:64] or None


def shown_code(code: str | None) -> str:
    """Return a cleaned error code for display, or a placeholder if it does not look like a word."""
    return code if code and _WORD.fullmatch(code) else "no readable error code"
