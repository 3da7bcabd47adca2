"""When temporary keys end, as the tool that wrote them noted beside them; an upper bound.

No AWS SDK reads these names, so every tool has its own: ``x_security_token_expires`` (saml2aws, okta-aws-cli, with a
UTC offset), ``expiration`` (aws-mfa, in UTC without saying so; awsume, in local time), ``aws_expiration``
(aws-azure-login), ``aws_session_expiration``, and others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from attrs import frozen

from freshkey.plugin import utc_time


_NAME: Final = re.compile(
    r"(.*expir(es?|y|ation|ed)|(.*[_.])?(valid_?(until|till|to|thru|through)|not_?(valid_?)?after))"
    r"(_?(at|on|time|date|timestamp|epoch|utc))*"
)
_OF_SOMETHING_ELSE: Final = re.compile(r"refresh|registration|client|cookie|assertion|id_?token|portal|sso|source|cert")

_TIME: Final = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d|\d{8})[T ](?P<clock>\d\d:\d\d(:\d\d)?|\d{6})([.,]\d+)? ?"
    r"(?P<zone>Z|UTC|GMT|[+-]\d\d(:?\d\d)?( [A-Z]{3,5})?)?( m=.*)?",
    re.IGNORECASE,
)
"""ISO 8601 and its relatives: with a space, and what Go prints. The name of a zone counts for nothing: many mean
several zones, so a time that has only a name cannot be read."""

_SECONDS: Final = re.compile(r"(\d{10})(\.\d+)?")
_MILLISECONDS: Final = re.compile(r"(\d{10})\d{3}")

_EARLIEST: Final = 2000
"""Tools write a year before this if they do not know the end (Go's zero time)."""


@frozen(kw_only=True)
class StatedEnd:
    """An end that is written down.

    Attributes:
        name: The name that it is written under.
        at: The end (aware UTC).
    """

    name: str
    at: datetime


def stated_end(facts: Mapping[str, object]) -> StatedEnd | None:
    """Return the earliest end that is written beside keys; None if there is none, or none that can be read."""
    local = facts.get("manager") == "awsume"
    ends = [
        StatedEnd(name=name, at=at)
        for name, value in facts.items()
        if _says_end(name) and (at := moment(value, local=local)) is not None
    ]
    return min(ends, key=lambda end: end.at, default=None)


def moment(value: object, *, local: bool = False) -> datetime | None:
    """Return a written time as aware UTC, or None; without a UTC offset it is in UTC, or in local time if `local`."""
    text = str(value).strip().strip("\"'") if isinstance(value, str | int | float) else ""
    try:
        found = _parsed(text, local=local)
    except (ValueError, OverflowError, OSError):
        return None
    return None if found is None or found.year < _EARLIEST else found


def _says_end(name: str) -> bool:
    plain = name.lower().replace("-", "_")
    return bool(_NAME.fullmatch(plain)) and not _OF_SOMETHING_ELSE.search(plain)


def _parsed(text: str, *, local: bool) -> datetime | None:
    if number := _SECONDS.fullmatch(text) or _MILLISECONDS.fullmatch(text):
        return utc_time(int(number[1]))
    if found := _TIME.fullmatch(text):
        written = datetime.fromisoformat(f"{found['day']}T{found['clock']}")
        if local and not found["zone"]:
            return written.astimezone(UTC)
        return written.replace(tzinfo=_zone(found["zone"] or "Z")).astimezone(UTC)
    from email.utils import parsedate_to_datetime  # takes 10 ms to import, and is rarely needed

    if "," not in text:
        return None
    dated = parsedate_to_datetime(text)
    return dated.astimezone(UTC) if dated.tzinfo else dated.replace(tzinfo=UTC)


def _zone(text: str) -> timezone:
    if not text[1:2].isdigit():
        return UTC
    digits = text[1:].partition(" ")[0].replace(":", "").ljust(4, "0")
    away = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-away if text.startswith("-") else away)
