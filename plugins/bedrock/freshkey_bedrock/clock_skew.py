"""How far this machine's clock is off, according to what AWS answers to a signed request.

AWS refuses a request whose time is off by more than five minutes (STS) or fifteen (other services), and says so in one
of two ways: with a code of its own, or with the code for a wrong signature and both times in the message.
Sources: AWS "Common errors" of STS; Signature Version 4 troubleshooting; the clock skew codes of the AWS SDKs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final


NAMED: Final = frozenset({"requesttimetooskewed", "requestexpired", "requestinthefuture"})
"""Codes that always mean the clock, in lower case and without ``Exception``."""

SIGNATURE: Final = frozenset(
    {"signaturedoesnotmatch", "invalidsignature", "incompletesignature", "authfailure", "invaliddpopheader"}
)
"""Codes that mean the clock if the answer shows that it is off, and otherwise a wrong key; written in the same way."""

MIN_SKEW: Final = 240.0
"""Seconds; less is no reason for a refusal, because AWS allows at least five minutes."""

_WORDS: Final = re.compile(r"signature expired|not yet current|request has expired|too skewed", re.IGNORECASE)
_STAMP: Final = re.compile(r"\b\d{4}-?\d\d-?\d\dT\d\d:?\d\d:?\d\d(?:\.\d+)?Z")
"""A time in UTC, as in a signature or in ISO 8601."""


def blames_the_clock(code: str, message: str, behind: float | None) -> bool:
    """Return whether an answer of AWS means that this machine's clock is wrong.

    Args:
        code: AWS's code.
        message: AWS's message.
        behind: Seconds that this machine's clock is behind AWS's, if known.
    """
    plain = code.lower().removesuffix("exception")
    if plain in NAMED:
        return True
    return plain in SIGNATURE and (bool(_WORDS.search(message)) or (behind is not None and abs(behind) > MIN_SKEW))


def seconds_behind(message: str, headers: Mapping[str, str], now: float) -> float | None:
    """Return how many seconds this machine's clock is behind AWS's; negative if it is ahead, None if unknown.

    A message with the time of the signature and the time of the server, such as ``Signature expired: 20260101T000000Z
    is now earlier than 20260101T000500Z (20260101T001000Z - 5 min.)``, is exact; the ``Date`` of the answer is not.

    Args:
        message: AWS's message.
        headers: Headers of the answer, in lower case.
        now: Time of this machine when the answer arrived, in seconds since 1970-01-01T00:00:00Z.
    """
    stamps = [_seconds(stamp) for stamp in _STAMP.findall(message)]
    if len(stamps) > 1:
        return stamps[-1] - stamps[0]
    try:
        return parsedate_to_datetime(headers.get("date", "")).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None


def agrees(behind: float) -> bool:
    """Return whether this machine's clock is right, within a minute."""
    return abs(behind) < 60  # noqa: PLR2004  one minute


def told(behind: float | None) -> str:
    """Return the skew in words."""
    if behind is None:
        return "this machine's clock is wrong"
    seconds = abs(behind)
    if agrees(behind):
        return "the time in the request is not accepted, although this machine's clock now agrees with AWS's"
    amount = f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"  # noqa: PLR2004  ten minutes
    amount = amount if seconds < 36_000 else f"{seconds / 3600:.1f} h"  # noqa: PLR2004  ten hours
    return f"this machine's clock is {amount} {'behind' if behind > 0 else 'ahead of'} AWS's"


def _seconds(stamp: str) -> float:
    digits = stamp.replace("-", "").replace(":", "").partition(".")[0].rstrip("Z")
    try:
        return datetime.strptime(digits, "%Y%m%dT%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0
