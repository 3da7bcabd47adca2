"""How long tokens live, in whatever way a token response says so.

What cannot be read counts as missing, with a warning: it must not cost the refresh token that came with it.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from freshkey._http.messages import seconds_until


log = logging.getLogger(__name__)

MAX_LIFETIME: Final = 10 * 366 * 86400.0
"""Seconds; some servers send a far larger number to mean "forever"."""

_UNREADABLE: Final = "the authorization server's response has an unreadable %s, which counts as missing"

_NUMBER: Final = re.compile(r"\s*\+?[0-9]{1,40}(?:\.[0-9]{0,40})?(?:[eE]\+?[0-9]{1,3})?\s*", re.ASCII)

_DURATION: Final = re.compile(
    r"(?P<seconds>[0-9]{1,18}(?:\.[0-9]{1,9})?)(?:s| ?sec(?:ond)?s?)"  # the first one: Protocol Buffers, in JSON
    r"|P(?:(?P<D>[0-9]{1,6})D)?(?:T(?:(?P<H>[0-9]{1,9})H)?(?:(?P<M>[0-9]{1,9})M)?(?:(?P<S>[0-9]{1,9}(?:\.[0-9]{1,9})?)S)?)?",
    re.ASCII,
)
"""ISO 8601 as well, without months and years, whose lengths differ."""
_UNITS: Final = {"seconds": 1, "D": 86400, "H": 3600, "M": 60, "S": 1}

_NET_DATE: Final = re.compile(r"/Date\(([0-9]{1,18})(?:[+-][0-9]{4})?\)/", re.ASCII)
_ZONE: Final = re.compile(r" ?(?P<offset>[+-][0-9]{2}:?[0-9]{2})(?: [A-Z]{3,5})?(?: m=\S+)?$| ?(?:UTC|GMT)$", re.ASCII)
"""At the end of a date, as Go (``2026-01-01 00:00:00 +0000 UTC``) and Ruby (``2026-01-01 00:00:00 UTC``) print it."""
_US_DATE: Final = re.compile(
    r"(?P<month>[0-9]{1,2})/(?P<day>[0-9]{1,2})/(?P<year>[0-9]{4}) (?P<hour>1[0-2]|0?[0-9])(?P<rest>:[0-9]{2}:[0-9]{2})"
    r" (?P<half>[AP])M(?: ?(?:(?P<offset>[+-][0-9]{2}:?[0-9]{2})|Z|UTC|GMT))?",
    re.ASCII,
)
"""Azure App Service. Without AM or PM, it would not be certain that the month is first."""
_UNIX_DATE: Final = re.compile(
    r"[A-Z][a-z]{2} (?P<month>[A-Z][a-z]{2}) +(?P<day>[0-9]{1,2}) (?P<time>[0-9:]{8})(?: UTC| GMT)? (?P<year>[0-9]{4})",
    re.ASCII,
)
"""``Thu Jan  1 00:00:00 UTC 2026``, as C and Java print it."""

_CAPITAL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")

_FIRST_DATE: Final = 1e9
"""Seconds since 1970; a smaller number is not a date (2001-09-09) but something else, such as 0 for "never"."""
_FINER: Final = ((1e18, 1e9), (1e15, 1e6), (1e11, 1e3))
"""From which number on a date is in nanoseconds, microseconds and milliseconds, and how many of them are a second."""

_EXPIRES: Final = r"(?:expir(?:es?|y|ation)(?:_?(?P<kind>in(?:_sec)?|at|on|date|time(?:stamp)?))?|(?P<ttl>ttl))"
_ACCESS: Final = re.compile(rf"(?:access_(?:token_)?|token_)?{_EXPIRES}")
_REFRESH: Final = re.compile(rf"(?:(?:x_)?refresh_(?:token_)?|rt_|re_){_EXPIRES}")  # the last one: Taobao
"""``expire_in`` (Shopee), ``expiresIn``, ``access_token_expires_at``, ``refresh_token_expire_in`` (TikTok Shop), …"""

_USUAL: Final = frozenset(
    {
        *("expires_in", "expires_in_sec"),  # the second one: Zoho, beside an `expires_in` in milliseconds
        *("expires_at", "expires_on"),  # Square, Supabase; Microsoft
        "refresh_token_expires_in",  # GitHub, LinkedIn
        "refresh_expires_in",  # Keycloak, TikTok
        "x_refresh_token_expires_in",  # Intuit
        *("refresh_token_expires_at", "refresh_expires_at"),
    }
)
"""Names that are certainly of the token. Others may be of something else."""


def access_lifetime(facts: Mapping[str, Any], generated: float) -> float | None:
    """Return the seconds until the access token expires, from when the response was generated; None if not stated.

    If several members state it, the earliest end counts. Names that are less common, and may be of something else,
    count only without the others, and only if the end is still to come. Names are found in camel case, too.

    Args:
        facts: The members of the response.
        generated: When the response was generated, in seconds since 1970-01-01T00:00:00Z.
    """
    return _lifetime(facts, _ACCESS, generated)


def refresh_lifetime(facts: Mapping[str, Any], generated: float) -> float | None:
    """Return the seconds until the refresh token expires; None if not stated, or stated as 0.

    Keycloak sends 0 for a token that does not expire, and no server issues a token that is dead on arrival.
    """
    return _lifetime(facts, _REFRESH, generated) or None


def read_seconds(value: object) -> float | None:
    """Return a non-negative number, also from a string; None if it is anything else."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value) or value < 0:
        return None
    return float(value)


def _lifetime(facts: Mapping[str, Any], names: re.Pattern[str], generated: float) -> float | None:
    found = {name: value for name, value in _snake(facts).items() if value is not None and names.fullmatch(name)}
    stated = _earliest({name: value for name, value in found.items() if name in _USUAL}, names, generated)
    if stated is not None:
        return stated
    return _earliest({name: value for name, value in found.items() if name not in _USUAL}, names, generated) or None


def _earliest(found: Mapping[str, Any], names: re.Pattern[str], generated: float) -> float | None:
    read = [
        _seconds(name, value, generated) if _is_lifetime(name, names) else _seconds_to(name, value, generated)
        for name, value in found.items()
    ]
    known = [seconds for seconds in read if seconds is not None]
    return max(0.0, min(MAX_LIFETIME, *known)) if known else None


def _is_lifetime(name: str, names: re.Pattern[str]) -> bool:
    parts = names.fullmatch(name)
    return parts is not None and (parts["ttl"] is not None or (parts["kind"] or "").startswith("in"))


def _seconds(name: str, value: object, generated: float) -> float | None:
    number = read_seconds(value)
    seconds = _duration(value) if number is None else number
    # Some servers send the date itself here; any other number of this size means "forever", and both are capped.
    end = _date(value) if seconds is None else _in_seconds(seconds)
    left = None if end is None else end - generated
    if left is not None and left > 0 and (seconds is None or (seconds > MAX_LIFETIME and left < MAX_LIFETIME)):
        return left
    if seconds is None:
        log.warning(_UNREADABLE, name)
    return seconds


def _seconds_to(name: str, value: object, generated: float) -> float | None:
    number = read_seconds(value)
    end = _date(value) if number is None else _in_seconds(number)
    if end is not None and end >= _FIRST_DATE:
        return end - generated
    if name == "expires" and number:
        return number
    log.warning(_UNREADABLE, name)
    return None


def _in_seconds(date: float) -> float:
    return next((date / units for first, units in _FINER if date >= first), date)


def _duration(value: object) -> float | None:
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    parts = {unit: float(part) for unit, part in found.groupdict().items() if part} if found else {}
    return sum(part * _UNITS[unit] for unit, part in parts.items()) if parts else None


def _snake(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {**{_CAPITAL.sub("_", name).lower().lstrip("."): value for name, value in facts.items()}, **facts}


def _date(value: object) -> float | None:
    """Return a date in seconds since 1970-01-01T00:00:00Z, from ISO 8601, HTTP or what a language prints; else None.

    It is in UTC if it has no zone.
    """
    if not isinstance(value, str):
        return None
    text = value.strip()
    in_milliseconds = _NET_DATE.fullmatch(text)
    if in_milliseconds:
        return float(in_milliseconds[1]) / 1000
    american, unix = _US_DATE.fullmatch(text), _UNIX_DATE.fullmatch(text)
    if unix:
        return seconds_until("{day} {month} {year} {time} GMT".format_map(unix.groupdict()), 0.0)
    try:
        moment = datetime.fromisoformat(_from_american(american) if american else _ZONE.sub(_offset, text))
    except ValueError:
        return seconds_until(text, 0.0)
    try:
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except OverflowError:
        return None


def _from_american(found: re.Match[str]) -> str:
    """Return a date of the United States as one of ISO 8601."""
    hour = int(found["hour"]) % 12 + (12 if found["half"] == "P" else 0)
    date = f"{found['year']}-{found['month']:>02}-{found['day']:>02}"
    return f"{date}T{hour:02}{found['rest']}{found['offset'] or 'Z'}"


def _offset(found: re.Match[str]) -> str:
    return found["offset"] or "Z"
