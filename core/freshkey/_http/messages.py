"""HTTP requests and responses as values: built, checked and read without any I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlencode

from attrs import Attribute, Factory, field, frozen

from freshkey.errors import ConfigurationError


MAX_WAIT: Final = 3600.0

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?|")


def _sendable(request: Request, attribute: Attribute[Mapping[str, str]], headers: Mapping[str, str]) -> None:  # noqa: ARG001  attrs
    """Refuse what could split a header or cannot be sent, before a library quotes it in an error."""
    for name, value in headers.items():
        if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)):
            raise ConfigurationError(f"the header {name!r} has characters that no header may have")


@frozen(kw_only=True)
class Request:
    """What is sent.

    Attributes:
        method: Such as ``POST``.
        url: Absolute; `send` checks it.
        headers: Names and values (RFC 9110, section 5.5, printable ASCII only); may be secret.
        body: May be secret.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default=Factory(dict), repr=False, validator=_sendable)
    body: bytes = field(default=b"", repr=False)


@frozen(kw_only=True)
class Response:
    """What came back, whatever its status.

    Attributes:
        status: The status code, from 200 to 599 and never 3xx.
        headers: Lower-case names; the values of a repeated name are joined by ``", "`` (RFC 9110, section 5.3).
        body: May be secret.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


Send = Callable[[Request], Response]
"""What protocol code is handed for its I/O: `send` with its keyword arguments bound."""


def form(url: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Request:
    """Return a POST of `fields` in the encoding of HTML forms, as RFC 6749 (section 3.2) asks for.

    Raises:
        ConfigurationError: A field is no text that UTF-8 can write. The message does not quote it.
    """
    with suppress(UnicodeEncodeError):
        return _post(url, "application/x-www-form-urlencoded", urlencode(fields).encode(), headers)
    # Raised outside of the handler: an error of encoding carries the whole field.
    raise ConfigurationError("a field of a request has half a character in it, and cannot be sent")


def json_body(url: str, value: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Request:
    """Return a POST of `value` as JSON."""
    return _post(url, "application/json", json.dumps(value).encode(), headers)


def _post(url: str, kind: str, body: bytes, headers: Mapping[str, str] | None) -> Request:
    ours = {"Content-Type": kind, "Accept": "application/json"}
    return Request(method="POST", url=url, headers={**ours, **(headers or {})}, body=body)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds to wait at the least, as the server asked (RFC 9110, section 10.2.3).

    Args:
        headers: Those of a `Response`.
        now: Seconds since 1970-01-01T00:00:00Z, to read a date against.

    Returns:
        Seconds from 0 to 3600; None if the header is missing or cannot be read.
    """
    value = headers.get("retry-after", "").strip()
    seconds = float(value) if re.fullmatch(r"[0-9]{1,10}", value) else seconds_until(value, now)
    return None if seconds is None else min(max(seconds, 0.0), MAX_WAIT)


def seconds_until(date: str, now: float) -> float | None:
    """Return the seconds from `now` to the date in a header (RFC 9110, section 5.6.7); None if it cannot be read."""
    from email.utils import parsedate_to_datetime  # 10 ms, which a start need not pay

    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, TypeError, OverflowError):
        return None
    return None if moment.tzinfo is None else moment.timestamp() - now
