"""AWS keys in the environment, and when they end according to the tool that set them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from freshkey.errors import ConfigurationError
from freshkey_bedrock.shared_config import KeysEnd
from freshkey_bedrock.stated_end import moment


EXPIRATION: Final = "AWS_CREDENTIAL_EXPIRATION"

_AWSUME: Final = "AWSUME_EXPIRATION"
"""In local time, without an offset."""

END_VARIABLES: Final = (
    EXPIRATION,
    _AWSUME,
    "AWS_CREDENTIALS_EXPIRATION",
    "AWS_EXPIRATION",
    "AWS_SESSION_EXPIRATION",
    "AWS_SESSION_EXPIRES",
    "AWS_SESSION_EXPIRES_AT",
    "AWS_SESSION_TOKEN_EXPIRATION",
)
"""The first is what AWS's own tools set; the others are aws-vault's former name and those of tools and scripts."""


def environment_end(environ: Mapping[str, str] = os.environ) -> KeysEnd | None:
    """Return when the keys in the environment end, if a variable says so.

    Raises:
        ConfigurationError: ``AWS_CREDENTIAL_EXPIRATION`` is not a time.
    """
    ends = {name: moment(environ[name], local=name == _AWSUME) for name in END_VARIABLES if environ.get(name)}
    if ends.get(EXPIRATION, ...) is None:
        raise ConfigurationError(
            f"{EXPIRATION} is not a time",
            hint="Set it to an ISO 8601 time such as 2026-01-01T00:00:00Z, or unset it",
            code="bedrock-invalid-aws-config",
        )
    known = [KeysEnd(where=name, at=at) for name, at in ends.items() if at is not None]
    return min(known, key=lambda end: end.at, default=None)
