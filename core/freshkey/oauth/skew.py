"""Detects clock skew between this machine and a server, only to warn."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from freshkey._http.messages import seconds_until


log = logging.getLogger(__name__)

MAX_SKEW: Final = 60.0
"""Seconds; a slow response alone causes far less."""


def seconds_behind(headers: Mapping[str, str], now: float) -> float | None:
    """Return how many seconds this machine's clock is behind the server's; negative if it is ahead.

    None if the ``Date`` header (RFC 9110, section 6.6.1) is missing or malformed.

    Args:
        headers: Headers of a `Response`.
        now: Seconds since 1970-01-01T00:00:00Z on this machine.
    """
    return seconds_until(headers.get("date", ""), now)


def warn_of_skew(headers: Mapping[str, str], now: float, host: str) -> None:
    """Log a warning if the clocks differ: it explains why a server rejects tokens that look fresh.

    Args:
        headers: Headers of a `Response`.
        now: Seconds since 1970-01-01T00:00:00Z on this machine.
        host: The server's host name.
    """
    behind = seconds_behind(headers, now)
    if behind is not None and abs(behind) > MAX_SKEW:
        where = "behind" if behind > 0 else "ahead of"
        log.warning("this machine's clock is %.0f s %s the clock of %s", abs(behind), where, host)
