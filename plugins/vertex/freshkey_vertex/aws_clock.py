"""Whether this machine's clock is why AWS refused a signed request, or why new AWS keys seem to have ended.

AWS says so with a code of its own, or with the code for a wrong signature and both times in the message (AWS "Common
errors" of STS; Signature Version 4 troubleshooting; the clock skew codes of the AWS SDKs).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from freshkey.errors import ProviderRefused, found_here


_NAMED: Final = frozenset({"requesttimetooskewed", "requestexpired", "requestinthefuture"})
_SIGNATURE: Final = frozenset(
    {"signaturedoesnotmatch", "invalidsignature", "incompletesignature", "authfailure", "invaliddpopheader"}
)
"""Codes that mean the clock always, and if the answer shows that it is off; in lower case, without ``Exception``."""

_MIN_SKEW: Final = 240.0
"""Seconds; less is no reason for a refusal, because AWS allows at least five minutes."""

_WORDS: Final = re.compile(r"signature expired|not yet current|request has expired|too skewed", re.IGNORECASE)
_STAMP: Final = re.compile(r"\b\d{4}-?\d\d-?\d\dT\d\d:?\d\d:?\d\d(?:\.\d+)?Z")
"""A time in UTC, as in a signature or in ISO 8601."""


def refused(code: str, message: str, headers: Mapping[str, str], now: float) -> ProviderRefused | None:
    """Return the error for an answer of AWS that blames the clock; None if it does not.

    Args:
        code: AWS's code.
        message: AWS's message. The time of the signature and that of the server in it are exact; ``Date`` is not.
        headers: Headers of the answer, in lower case.
        now: Time of this machine when the answer arrived, in seconds since 1970-01-01T00:00:00Z.
    """
    plain = code.lower().removesuffix("exception")
    stamps = [_seconds(stamp) for stamp in _STAMP.findall(message)]
    behind = stamps[-1] - stamps[0] if len(stamps) > 1 else _behind(headers.get("date", ""), now)
    off = _WORDS.search(message) or (behind is not None and abs(behind) > _MIN_SKEW)
    if plain not in _NAMED and not (plain in _SIGNATURE and off):
        return None
    if behind is not None and abs(behind) < 60:  # noqa: PLR2004  one minute
        words = "the time in the request is not accepted, although this machine's clock now agrees with AWS's"
        hint = "Try again: the clock has just been set, or something held the request back on its way"
        return _error(f"AWS did not issue keys: {words}", hint)
    return _error(f"AWS did not issue keys: {_told(behind)}")


def ahead(sent: str, arrived: float) -> ProviderRefused | None:
    """Return the error for new keys that seem to have ended because the clock is ahead; None if it is not.

    Args:
        sent: The header ``Date`` of the last answer.
        arrived: When that answer arrived, in seconds since 1970-01-01T00:00:00Z.
    """
    behind = _behind(sent, arrived)
    if behind is None or behind > -_MIN_SKEW:
        return None
    return _error(f"new AWS keys seem to have expired, because {_told(behind)}")


def _error(message: str, hint: str = "Set this machine's clock, then try again") -> ProviderRefused:
    return found_here(ProviderRefused(message, hint=hint, code="vertex-clock-skew"))


def _behind(sent: str, now: float) -> float | None:
    """Return how many seconds this machine's clock is behind; negative if it is ahead, None if unknown."""
    try:
        return parsedate_to_datetime(sent).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None


def _told(behind: float | None) -> str:
    if behind is None:
        return "this machine's clock is wrong"
    seconds = abs(behind)
    amount = f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"  # noqa: PLR2004  ten minutes
    amount = amount if seconds < 36_000 else f"{seconds / 3600:.1f} h"  # noqa: PLR2004  ten hours
    return f"this machine's clock is {amount} {'behind' if behind > 0 else 'ahead of'} AWS's"


def _seconds(stamp: str) -> float:
    digits = re.sub("[-:Z]", "", stamp).partition(".")[0]
    try:
        return datetime.strptime(digits, "%Y%m%dT%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0
