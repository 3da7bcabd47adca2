"""Decides whether an HTTP request is a browser navigating to our redirect URI; pure, and accepts any input."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from attrs import frozen


MAX_LINE: Final = 8 * 1024
"""Maximum size of the request line in bytes."""

MAX_HEADERS: Final = 32 * 1024
"""Maximum size of all header lines together in bytes."""

_END: Final = b"\r\n\r\n"
_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\x00-\x08\x0a-\x1f\x7f]*)")
_TARGET: Final = re.compile(rb"/[!-~]*")


@frozen
class Wanted:
    """The only valid target of the redirect: path, and host with port, exactly as in the redirect URI."""

    path: str
    authority: str


def ended(received: bytes) -> bool:
    """Whether the complete header section has arrived, or more than we are willing to read."""
    return _END in received or _excess(received) is not None


def judge(received: bytes, wanted: Wanted) -> str | HTTPStatus:
    """Return the query of a redirect, or the status to reject the request with.

    Only an HTTP/1 GET with the exact path and the exact host is accepted. If the browser states the purpose of the
    request (Fetch Metadata, ``Sec-Purpose``), it must be a page navigation: not an image, a frame, a script or a
    prefetch.
    """
    excess = _excess(received)
    if excess is not None:
        return excess
    head, separator, _ = received.partition(_END)
    line, *lines = head.split(b"\r\n")
    words = line.split(b" ")
    headers = [found for found in map(_HEADER.fullmatch, lines) if found]  # rejects folded lines: RFC 9112, section 5.2
    if not separator or len(headers) < len(lines) or len(words) != 3 or not _TARGET.fullmatch(words[1]):  # noqa: PLR2004  RFC 9112, section 3
        return HTTPStatus.BAD_REQUEST
    named = [(header[1].lower(), header[2].strip()) for header in headers]
    rejection = _rejected_line(words, wanted) or _rejected_headers(named, wanted)
    return rejection or words[1].partition(b"?")[2].decode("ascii")


def cookies(received: bytes, name: bytes) -> list[bytes]:
    """Return the values of a cookie in a request, as many as there are: other programs may set one of the same name."""
    lines = received.partition(_END)[0].split(b"\r\n")[1:]
    found = [header for header in map(_HEADER.fullmatch, lines) if header and header[1].lower() == b"cookie"]
    pairs = [pair.strip().partition(b"=") for header in found for pair in header[2].split(b";")]
    return [value for found_name, _, value in pairs if found_name == name]


def _excess(received: bytes) -> HTTPStatus | None:
    line, separator, rest = received.partition(b"\r\n")
    if len(line) > MAX_LINE:
        return HTTPStatus.REQUEST_URI_TOO_LONG
    if separator and len(rest.partition(_END)[0]) > MAX_HEADERS:
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    return None


def _rejected_line(words: list[bytes], wanted: Wanted) -> HTTPStatus | None:
    method, target, version = words
    if version not in {b"HTTP/1.0", b"HTTP/1.1"}:
        return HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
    if method != b"GET":
        return HTTPStatus.METHOD_NOT_ALLOWED
    return None if target.partition(b"?")[0] == wanted.path.encode() else HTTPStatus.NOT_FOUND


def _rejected_headers(headers: list[tuple[bytes, bytes]], wanted: Wanted) -> HTTPStatus | None:
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1:
        return HTTPStatus.BAD_REQUEST
    # DNS rebinding: a web page can make its own name resolve to 127.0.0.1 and then read what we respond. Its requests
    # carry that name in the Host header.
    if hosts[0] != wanted.authority.encode():
        return HTTPStatus.MISDIRECTED_REQUEST
    return HTTPStatus.FORBIDDEN if any(_no_navigation(name, value) for name, value in headers) else None


def _no_navigation(name: bytes, value: bytes) -> bool:
    if name in {b"sec-purpose", b"purpose", b"x-moz"}:
        return b"prefetch" in value.lower()
    return name == b"sec-fetch-dest" and value != b"document"
