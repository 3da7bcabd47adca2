"""When AWS keys end, according to the tool that wrote them: botocore and google-auth read at most one of these names.

Other tools write ``x_security_token_expires`` (saml2aws), ``expiration`` (aws-mfa, in UTC without saying so; awsume, in
local time), ``aws_expiration`` and the like beside the keys, or set a variable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from attrs import frozen

from freshkey.plugin import utc_time


EXPIRATION: Final = "AWS_CREDENTIAL_EXPIRATION"
"""The variable of AWS's own tools."""

_AWSUME: Final = "AWSUME_EXPIRATION"
VARIABLES: Final = (
    EXPIRATION,
    _AWSUME,
    "AWS_CREDENTIALS_EXPIRATION",
    "AWS_EXPIRATION",
    "AWS_SESSION_EXPIRATION",
    "AWS_SESSION_EXPIRES",
    "AWS_SESSION_EXPIRES_AT",
    "AWS_SESSION_TOKEN_EXPIRATION",
)
"""Those of AWS's tools, of awsume (in local time), of older aws-vault, and of scripts."""

_NAME: Final = re.compile(
    r"(.*expir(es?|y|ation|ed)|(.*[_.])?(valid_?(until|till|to|thru|through)|not_?(valid_?)?after))"
    r"(_?(at|on|time|date|timestamp|epoch|utc))*"
)
_OF_SOMETHING_ELSE: Final = re.compile(r"refresh|registration|client|cookie|assertion|id_?token|portal|sso|source|cert")
"""These two are also freshkey-bedrock's, of which this plugin is independent."""

_SECONDS: Final = re.compile(r"(\d{10})(\d{3})?(\.\d+)?")
_TIME: Final = re.compile(
    r"(\d{4}-?\d\d-?\d\d)[T ](\d\d:?\d\d(?::?\d\d)?)(?:[.,]\d+)? ?"
    r"(?:(Z|UTC|GMT)|([+-]\d\d:?(?:\d\d)?)(?: [A-Z]{3,5})?)?(?: m=.*)?",
    re.IGNORECASE,
)
"""ISO 8601 and its relatives: with a space, and what Go prints. The name of a zone alone may mean several zones."""

_EARLIEST: Final = 2000
"""Tools write a year before this if they do not know the end."""


@frozen(kw_only=True)
class End:
    """An end that is written down.

    Attributes:
        name: The name that it is written under.
        at: The end (aware UTC).
    """

    name: str
    at: datetime

    @property
    def passed(self) -> bool:
        """Whether it has passed."""
        return self.at <= datetime.now(UTC)


def of_environment(environ: Mapping[str, str]) -> End | None:
    """Return when the keys in the environment end, if a variable says so."""
    return _earliest({name: moment(environ.get(name), local=name == _AWSUME) for name in VARIABLES})


def of_section(section: Mapping[str, object]) -> End | None:
    """Return when the keys in an AWS profile, or in the output of a program, end, if it says so."""
    local = section.get("manager") == "awsume"
    return _earliest({name: moment(text, local=local) for name, text in section.items() if _says_end(name)})


def moment(value: object, *, local: bool = False) -> datetime | None:
    """Return a time as aware UTC, or None; without a UTC offset it is in UTC, or in local time if `local`."""
    text = str(value).strip().strip("\"'") if isinstance(value, str | int | float) else ""
    try:
        at = _parsed(text)
        if at is not None:
            at = (at if at.tzinfo or local else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None if at is None or at.year < _EARLIEST else at


def _says_end(name: str) -> bool:
    plain = name.lower().replace("-", "_")
    return _NAME.fullmatch(plain) is not None and _OF_SOMETHING_ELSE.search(plain) is None


def _earliest(moments: Mapping[str, datetime | None]) -> End | None:
    ends = [End(name=name, at=at) for name, at in moments.items() if at is not None]
    return min(ends, key=lambda end: end.at, default=None)


def _parsed(text: str) -> datetime | None:
    if number := _SECONDS.fullmatch(text):
        return utc_time(int(number[1]))
    if found := _TIME.fullmatch(text):
        day, clock, utc, offset = found.groups()
        return datetime.fromisoformat(f"{day}T{clock}{'+00:00' if utc else offset or ''}")
    from email.utils import parsedate_to_datetime  # takes 10 ms to import, and is rarely needed

    return parsedate_to_datetime(text) if "," in text else None
