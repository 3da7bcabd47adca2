"""What a scripted user does in a browser: plain HTTP requests to loopback servers, with redirects and cookies."""

from __future__ import annotations

import html
import http.client
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

from attrs import frozen


if TYPE_CHECKING:
    from collections.abc import Sequence

_LOOPBACK: Final = {"127.0.0.1", "::1", "localhost"}
_MAX_REDIRECTS: Final = 10
_TIMEOUT: Final = 10.0
_MAX_COOKIES: Final = 100
_cookies: Final[dict[tuple[str, str], tuple[str, str]]] = {}
"""Host and name of each cookie, in the order they came; its path and value. All pages share them, as in one browser."""

_SHOWN_CODE: Final = re.compile(r'<code id="code">([^<]+)</code>')


@frozen(kw_only=True)
class Page:
    """The page a browser ended on.

    Attributes:
        url: The URL in the address bar.
        status: HTTP status of the last response.
        location: Where that response redirects to (not followed), or None.
        text: The body of the last response.
    """

    url: str
    status: int
    location: str | None
    text: str


def follow(url: str) -> Page:
    """Open `url` and follow redirects to the end, including a sign-in's loopback redirect.

    Raises:
        ValueError: A URL is not plain HTTP on loopback, or there are more than 10 redirects.
        OSError: Nothing is listening there.
    """
    page = visit(url)
    for _ in range(_MAX_REDIRECTS):
        if page.location is None:
            return page
        page = visit(page.location)
    raise ValueError(f"more than {_MAX_REDIRECTS} redirects")


def visit(url: str) -> Page:
    """Open `url` without following redirects.

    Raises:
        ValueError: The URL is not plain HTTP on loopback.
        OSError: Nothing is listening there.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK:
        raise ValueError(f"the scripted browser only opens http URLs on loopback, not at {parts.hostname!r}")
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=_TIMEOUT)
    try:
        cookie = _sent_cookies(parts.hostname, parts.path)
        headers = {"Cookie": cookie} if cookie else {}
        connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""), headers=headers)
        response = connection.getresponse()
        for line in response.headers.get_all("Set-Cookie", []):
            _keep_cookie(parts.hostname, line)
        location = response.getheader("Location")
        return Page(
            url=url,
            status=response.status,
            location=urljoin(url, location) if location else None,
            text=response.read().decode("utf-8", "replace"),
        )
    finally:
        connection.close()


def _keep_cookie(host: str, line: str) -> None:
    """Keep a cookie until enough others have come; its path is all that counts of its attributes."""
    pair, *attributes = (part.strip() for part in line.split(";"))
    name, _, value = pair.partition("=")
    paths = [attribute[5:] for attribute in attributes if attribute.lower().startswith("path=")]
    _cookies.pop((host, name), None)
    _cookies[host, name] = ((paths or ["/"])[-1], value)
    for oldest in list(_cookies)[:-_MAX_COOKIES]:
        _cookies.pop(oldest, None)


def _sent_cookies(host: str, path: str) -> str:
    """Return the cookies for a URL (RFC 6265, sections 5.1.4 and 5.4)."""
    pairs = [
        f"{name}={value}"
        for (cookie_host, name), (prefix, value) in list(_cookies.items())
        if cookie_host == host and f"{path}/".startswith(f"{prefix.rstrip('/')}/")
    ]
    return "; ".join(pairs)


def start(url: str) -> str:
    """Return the authorization URL that a sign-in's local start address redirects to; other URLs as they are."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK or parts.query:
        return url
    try:
        page = visit(url)
    except OSError:
        return url
    return page.location if page.status == HTTPStatus.SEE_OTHER and page.location else url


def copy_code(urls: Sequence[str]) -> str:
    """Sign in at the last of `urls` and copy the code shown on the final page, as ``code#state``.

    Raises:
        ValueError: The final page does not show a code.
    """
    page = follow(urls[-1])
    shown = _SHOWN_CODE.search(page.text)
    if shown is None:
        raise ValueError(f"the last page of the sign-in (status {page.status}) does not show a code")
    return html.unescape(shown[1])


def copy_address(urls: Sequence[str]) -> str:
    """Sign in at the first of `urls` and copy the URL it redirects to, without opening that URL.

    That is what a user on another machine does: the browser cannot reach the loopback listener, but the address bar
    shows the redirect URL.

    Raises:
        ValueError: The server did not redirect.
    """
    page = visit(urls[0])
    if page.location is None:
        raise ValueError(f"the authorization server did not redirect (status {page.status})")
    return page.location


def approve_device(user_code: str, verification_uri: str, complete_uri: str | None) -> Page:
    """Open the verification page of a device sign-in with the user code filled in (RFC 8628, section 3.3.1)."""
    return follow(complete_uri or f"{verification_uri}?user_code={user_code}")
