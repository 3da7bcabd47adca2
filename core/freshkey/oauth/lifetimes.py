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
    r"(?P<seconds>[0-9]{1,18}(?:\.[0-9]{1,9})?)s"  # Protocol Buffers, in JSON
    r"|P(?:(?P<D>[0-9]{1,6})D)?(?:T(?:(?P<H>[0-9]{1,9})H)?(?:(?P<M>[0-9]{1,9})M)?(?:(?P<S>[0-9]{1,9}(?:\.[0-9]{1,9})?)S)?)?",
    re.ASCII,
)
"""ISO 8601 as well, without months and years, whose lengths differ."""
_UNITS: Final = {"seconds": 1, "D": 86400, "H": 3600, "M": 60, "S": 1}

_CAPITAL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")

_FIRST_DATE: Final = 1e9
"""Seconds since 1970; a smaller number is not a date (2001-09-09) but something else, such as 0 for "never"."""
_FINER: Final = ((1e18, 1e9), (1e15, 1e6), (1e11, 1e3))
"""From which number on a date is in nanoseconds, microseconds and milliseconds, and how many of them are a second."""

_LIFETIMES: Final = ("expires_in", "expires_in_sec")  # the second one: Zoho, beside an `expires_in` in milliseconds
_ENDS: Final = ("expires_at", "expires_on")  # Square, Supabase; Microsoft
_OTHER_LIFETIMES: Final = ("access_token_expires_in",)
_OTHER_ENDS: Final = (
    "expires",  # ASP.NET, as `.expires`; Facebook, as a lifetime
    *("expiration", "access_token_expires_at", "access_token_expires_on", "access_token_expires"),
)
_REFRESH_LIFETIMES: Final = (
    "refresh_token_expires_in",  # GitHub, LinkedIn
    "refresh_expires_in",  # Keycloak, TikTok
    "x_refresh_token_expires_in",  # Intuit
)
_REFRESH_ENDS: Final = ("refresh_token_expires_at", "refresh_expires_at")
_OTHER_REFRESH_ENDS: Final = (
    *("refresh_token_expires_on", "refresh_token_expires", "refresh_token_expiration", "refresh_token_expiry"),
    "refresh_token_expiration_date",
)


def access_lifetime(facts: Mapping[str, Any], generated: float) -> float | None:
    """Return the seconds until the access token expires, from when the response was generated; None if not stated.

    If several members state it, the earliest end counts. Names that are less common, and may be of something else,
    count only without the others, and only if the end is still to come. Names are found in camel case, too.

    Args:
        facts: The members of the response.
        generated: When the response was generated, in seconds since 1970-01-01T00:00:00Z.
    """
    facts = _snake(facts)
    stated = _earliest(facts, _LIFETIMES, _ENDS, generated)
    return stated if stated is not None else _earliest(facts, _OTHER_LIFETIMES, _OTHER_ENDS, generated) or None


def refresh_lifetime(facts: Mapping[str, Any], generated: float) -> float | None:
    """Return the seconds until the refresh token expires; None if not stated, or stated as 0.

    Keycloak sends 0 for a token that does not expire, and no server issues a token that is dead on arrival.
    """
    facts = _snake(facts)
    stated = _earliest(facts, _REFRESH_LIFETIMES, _REFRESH_ENDS, generated)
    return (stated if stated is not None else _earliest(facts, (), _OTHER_REFRESH_ENDS, generated)) or None


def read_seconds(value: object) -> float | None:
    """Return a non-negative number, also from a string; None if it is anything else."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value) or value < 0:
        return None
    return float(value)


def _earliest(
    facts: Mapping[str, Any], lifetimes: tuple[str, ...], ends: tuple[str, ...], generated: float
) -> float | None:
    found = [_seconds(name, facts[name], generated) for name in lifetimes if facts.get(name) is not None]
    found += [_seconds_to(name, facts[name], generated) for name in ends if facts.get(name) is not None]
    known = [seconds for seconds in found if seconds is not None]
    return max(0.0, min(MAX_LIFETIME, *known)) if known else None


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
    """Return a date in the format of ISO 8601 or HTTP, in seconds since 1970-01-01T00:00:00Z; UTC if it has no zone."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        return seconds_until(value, 0.0)
    try:
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except OverflowError:
        return None
