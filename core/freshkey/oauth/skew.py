"""Notices when the clock of this machine and that of a server disagree; nothing is decided by a server's clock."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from freshkey._http.messages import seconds_until


log = logging.getLogger("freshkey")

MAX_SKEW: Final = 60.0
"""Seconds; a slow answer alone stays far below."""


def seconds_behind(headers: Mapping[str, str], now: float) -> float | None:
    """Return by how many seconds this machine is behind the server (RFC 9110, section 6.6.1); negative if ahead.

    None says that the server did not say, or not in a way that can be read.

    Args:
        headers: Those of a `Response`.
        now: Seconds since 1970-01-01T00:00:00Z by this machine.
    """
    return seconds_until(headers.get("date", ""), now)


def warn_of_skew(headers: Mapping[str, str], now: float, host: str) -> None:
    """Log that the clocks disagree, if they do: it explains tokens that are refused although they seem fresh.

    Args:
        headers: Those of a `Response`.
        now: Seconds since 1970-01-01T00:00:00Z by this machine.
        host: Whose answer it is.
    """
    behind = seconds_behind(headers, now)
    if behind is not None and abs(behind) > MAX_SKEW:
        where = "behind" if behind > 0 else "ahead of"
        log.warning("the clock of this machine is %.0f s %s that of %s", abs(behind), where, host)
