"""When AWS keys end, according to the tool that wrote them: botocore and google-auth read at most one of these names.

Other tools write ``x_security_token_expires`` (saml2aws), ``expiration`` (aws-mfa), ``aws_expiration`` and the like
beside the keys, or set a variable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from attrs import frozen


_VARIABLES: Final = (
    "AWS_CREDENTIAL_EXPIRATION",  # of AWS's own tools
    "AWS_SESSION_EXPIRATION",
    "AWS_SESSION_TOKEN_EXPIRATION",
    "AWS_EXPIRATION",
)

_OTHER: Final = "refresh|registration|client|cookie|assertion|id_?token|portal|sso"
_NAME: Final = re.compile(rf"(?!.*({_OTHER})).*expir(es?|y|ation|ed)(_?(at|on|time|date|timestamp|epoch|utc))*")
_SECONDS: Final = re.compile(r"(\d{10})(\d{3})?(\.\d+)?")

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
    return _earliest({name: environ.get(name) for name in _VARIABLES})


def of_section(section: Mapping[str, object]) -> End | None:
    """Return when the keys in an AWS profile end, if it says so."""
    return _earliest({name: text for name, text in section.items() if _NAME.fullmatch(name.replace("-", "_"))})


def _earliest(texts: Mapping[str, object]) -> End | None:
    ends = [End(name=name, at=at) for name, text in texts.items() if (at := _moment(text)) is not None]
    return min(ends, key=lambda end: end.at, default=None)


def _moment(value: object) -> datetime | None:
    """Return a time as aware UTC, or None if it cannot be read; without a UTC offset it is in UTC."""
    text = value.strip().strip("\"'") if isinstance(value, str) else ""
    try:
        if number := _SECONDS.fullmatch(text):
            at = datetime.fromtimestamp(int(number[1]), UTC)
        else:
            at = datetime.fromisoformat(re.sub(r" *(UTC|GMT)$", "Z", re.sub(r" +(?=[+-]\d)", "", text)))
    except ValueError:
        return None
    if at.year < _EARLIEST:
        return None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
