"""The HTTP responses of the loopback listener: constant, so that nothing from a request is echoed."""

from __future__ import annotations

import base64
import hashlib
from http import HTTPStatus
from typing import Final


_STYLE: Final = (
    "html{height:100%;color-scheme:light dark}"
    "body{min-height:100%;margin:0;display:grid;place-items:center;background:#f6f7f9;color:#1d2430;"
    "font:16px/1.6 system-ui,sans-serif}"
    "main{margin:2rem;max-width:26rem;padding:2.5rem;border-radius:1rem;background:#fff;"
    "box-shadow:0 1px 2px #0001,0 12px 40px #0001;text-align:center}"
    "h1{margin:0 0 .5rem;font-size:1.35rem;font-weight:600}"
    "p{margin:0;color:#5b6575}"
    "@media(prefers-color-scheme:dark){body{background:#12161c;color:#e8ecf2}main{background:#1b212a}p{color:#9aa5b5}}"
)

_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")

_DOCUMENT: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>'
    "<style>{style}</style></head><body><main><h1>{title}</h1><p>{text}</p></main></body></html>"
)

_HEADERS: Final = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy", f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Connection", "close"),
)


def _answer(status: HTTPStatus, title: str, text: str) -> bytes:
    body = _DOCUMENT.format(title=title, text=text, style=_STYLE).encode()
    headers = [*_HEADERS, ("Content-Length", str(len(body)))]
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers.append(("Allow", "GET"))
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("ascii") + body


def redirect(target: str, cookie: str) -> bytes:
    """Return the response that sends a browser to `target` with a cookie for us; the only one that is not constant.

    Args:
        target: A URL that `freshkey.oauth.safe_url` has accepted.
        cookie: The value of ``Set-Cookie``, without anything from a request.
    """
    policies = [f"{name}: {value}" for name, value in _HEADERS if name != "Content-Type"]
    lines = ["HTTP/1.1 303 See Other", f"Location: {target}", f"Set-Cookie: {cookie}", *policies, "Content-Length: 0"]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


RECEIVED: Final = _answer(HTTPStatus.OK, "You can close this page", "The application will finish signing you in.")
"""Response to the redirect with a code. It does not claim success, because the code is not exchanged yet."""

DECLINED: Final = _answer(
    HTTPStatus.OK, "Sign-in not completed", "Return to the application to see why and to try again."
)
"""Response to the redirect with an error for this attempt."""

REJECTED: Final = {
    status: _answer(status, "Request rejected", "This request is not part of the sign-in in progress.")
    for status in (
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.REQUEST_URI_TOO_LONG,
        HTTPStatus.MISDIRECTED_REQUEST,
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
    )
}
"""Responses to all other requests."""

OTHER_USER: Final = _answer(
    HTTPStatus.FORBIDDEN,
    "This sign-in belongs to another user",
    "Another user of this computer is signing in here. Your request was not accepted.",
)
"""Response to everything that another user of the machine sends."""

OTHER_BROWSER: Final = _answer(
    HTTPStatus.FORBIDDEN,
    "This browser did not start the sign-in",
    "Copy the full address of this page and paste it into the application. "
    "Or start again there, and open the address that it shows in this browser.",
)
"""Response to a redirect from a browser that may be anyone's and has no cookie of ours."""

ALREADY_STARTED: Final = _answer(
    HTTPStatus.FORBIDDEN,
    "The sign-in has been started in another browser",
    "Continue there, or cancel in the application and start again.",
)
"""Response to the start address for a browser that may be anyone's, after the user's own one had it."""

OPENED_TWICE: Final = _answer(
    HTTPStatus.FORBIDDEN,
    "The sign-in was stopped",
    "Its address was opened twice, so someone else may have seen it. Start again in the application.",
)
"""Response to the start address that ends the attempt."""

UNPROVEN: Final = {
    "error-without-state": _answer(
        HTTPStatus.BAD_REQUEST,
        "The sign-in server reported an error",
        "It did not say for which sign-in, so the application keeps waiting. If you declined, cancel there as well.",
    ),
    "other-state": _answer(
        HTTPStatus.BAD_REQUEST,
        "This is another sign-in",
        "The page belongs to an earlier attempt, or to another program. Continue in the page that was opened last.",
    ),
    "other-issuer": _answer(
        HTTPStatus.BAD_REQUEST,
        "The response could not be verified",
        "It does not name the expected sign-in server, so the application keeps waiting.",
    ),
    "nothing": _answer(
        HTTPStatus.BAD_REQUEST,
        "There is no sign-in response in this address",
        "If the address bar shows one after a #, copy the full address and paste it into the application.",
    ),
}
"""Responses to a navigation to the redirect URI that is not the response to this attempt, by what is wrong with it."""
