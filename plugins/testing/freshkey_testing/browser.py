"""What a scripted person does in a browser: plain HTTP requests to servers on loopback, redirects followed."""

from __future__ import annotations

import html
import http.client
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

from attrs import frozen


if TYPE_CHECKING:
    from collections.abc import Sequence

_LOOPBACK: Final = {"127.0.0.1", "::1", "localhost"}
_MAX_REDIRECTS: Final = 10
_TIMEOUT: Final = 10.0
_SHOWN_CODE: Final = re.compile(r'<code id="code">([^<]+)</code>')


@frozen(kw_only=True)
class Page:
    """Where a browser ended.

    Attributes:
        url: What its address bar shows.
        status: HTTP status of the last answer.
        location: Where that answer redirects to, not followed; or None.
        text: The body of the last answer.
    """

    url: str
    status: int
    location: str | None
    text: str


def follow(url: str) -> Page:
    """Open `url` and follow redirects to the end, a loopback redirect of a sign-in included.

    Raises:
        ValueError: An address is not plain HTTP on loopback: tests stay on this machine.
        OSError: Nobody listens there.
    """
    page = visit(url)
    for _ in range(_MAX_REDIRECTS):
        if page.location is None:
            return page
        page = visit(page.location)
    raise ValueError(f"more than {_MAX_REDIRECTS} redirects")


def visit(url: str) -> Page:
    """Open `url` and follow nothing.

    Raises:
        ValueError: The address is not plain HTTP on loopback.
        OSError: Nobody listens there.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK:
        raise ValueError(f"the scripted browser only opens http addresses on loopback, not one at {parts.hostname!r}")
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=_TIMEOUT)
    try:
        connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""))
        answer = connection.getresponse()
        location = answer.getheader("Location")
        return Page(
            url=url,
            status=answer.status,
            location=urljoin(url, location) if location else None,
            text=answer.read().decode("utf-8", "replace"),
        )
    finally:
        connection.close()


def copy_code(urls: Sequence[str]) -> str:
    """Sign in at the last of `urls` and copy the code its final page shows, as ``code#state``.

    Raises:
        ValueError: That page shows no code.
    """
    page = follow(urls[-1])
    shown = _SHOWN_CODE.search(page.text)
    if shown is None:
        raise ValueError(f"the page that the sign-in ended at (status {page.status}) shows no code")
    return html.unescape(shown[1])


def copy_address(urls: Sequence[str]) -> str:
    """Sign in at the first of `urls` and copy the address it redirects to, without ever opening that address.

    That is what a person on another machine does: their browser cannot reach the loopback listener, but its address bar
    shows where it should have gone.

    Raises:
        ValueError: There was no redirect.
    """
    page = visit(urls[0])
    if page.location is None:
        raise ValueError(f"the authorization server did not redirect (status {page.status})")
    return page.location


def approve_device(user_code: str, verification_uri: str, complete_uri: str | None) -> Page:
    """Open the verification page of a device sign-in with the code filled in (RFC 8628, section 3.3.1)."""
    return follow(complete_uri or f"{verification_uri}?user_code={user_code}")
