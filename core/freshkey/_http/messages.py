"""Bodies of HTTP requests, and headers of responses; nothing here does I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlencode

from freshkey.errors import ConfigurationError
from freshkey.model.exchange import Request


MAX_WAIT: Final = 3600.0

Fields = Mapping[str, str | Sequence[str]]
"""Fields of a request by name. Several values are sent as a repeated field, such as ``resource`` (RFC 8707)."""


def form(url: str, fields: Fields, headers: Mapping[str, str] | None = None) -> Request:
    """Return a POST of `fields` as an HTML form, which RFC 6749 (section 3.2) requires.

    Raises:
        ConfigurationError: A field cannot be encoded as UTF-8. The message does not quote it.
    """
    with suppress(UnicodeEncodeError):
        return _post(url, "application/x-www-form-urlencoded", urlencode(fields, doseq=True).encode(), headers)
    # Raised outside the handler: a UnicodeEncodeError carries the whole field, and it would be the context.
    raise ConfigurationError(
        "a request field contains an unpaired surrogate and cannot be sent", code="invalid-request-field"
    )


def json_body(url: str, value: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Request:
    """Return a POST of `value` as JSON."""
    return _post(url, "application/json", json.dumps(value).encode(), headers)


def _post(url: str, kind: str, body: bytes, headers: Mapping[str, str] | None) -> Request:
    ours = {"Content-Type": kind, "Accept": "application/json"}
    return Request(method="POST", url=url, headers={**ours, **(headers or {})}, body=body)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the minimum seconds to wait, from the ``Retry-After`` header (RFC 9110, section 10.2.3).

    A date is compared with the response's own ``Date``, because the two come from one clock.

    Args:
        headers: Headers of a `Response`.
        now: Seconds since 1970-01-01T00:00:00Z; a date is relative to it if the response has no ``Date``.

    Returns:
        Seconds from 0 to 3600; None if the header is missing or malformed.
    """
    value = headers.get("retry-after", "").strip()
    stated = re.fullmatch(r"[0-9]{1,10}", value)
    seconds = float(value) if stated else seconds_until(value, generated_at(headers, now))
    return None if seconds is None else min(max(seconds, 0.0), MAX_WAIT)


def generated_at(headers: Mapping[str, str], now: float) -> float:
    """Return when a response was generated: its ``Date`` (RFC 9110, section 6.6.1), or else now."""
    by_server = seconds_until(headers.get("date", ""), 0.0)
    return now if by_server is None else by_server


def seconds_until(date: str, now: float) -> float | None:
    """Return the seconds from `now` to an HTTP date (RFC 9110, section 5.6.7); None if it is malformed."""
    from email.utils import parsedate_to_datetime  # takes 10 ms to import; keep it out of startup

    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, TypeError, OverflowError):
        return None
    return None if moment.tzinfo is None else moment.timestamp() - now
