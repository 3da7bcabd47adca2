"""Reads from a short-term Bedrock API key, which is a presigned URL, when it expires and for which region it is."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qs, urlsplit

from attrs import frozen

from freshkey.errors import ConfigurationError, frameless
from freshkey.plugin import Secret
from freshkey_bedrock.settings import MAX_LIFE, checked_region


PREFIX: Final = "bedrock-api-key-"
"""Prefix of short-term keys, as made by AWS's ``aws-bedrock-token-generator`` 1.1.0."""

_SCOPE_PARTS: Final = 5
_SIGNATURE: Final = re.compile("[0-9a-f]{64}")


@frozen(kw_only=True)
class Term:
    """When and where a short-term key is valid.

    Attributes:
        ends: When it expires (aware UTC). It expires earlier if the credentials that signed it do; the key does not
            show that.
        region: The region that it was signed for.
    """

    ends: datetime
    region: str


@frameless
def term_of(key: Secret) -> Term | None:
    """Return when and where a key is valid, or None for a long-term key, which does not contain this.

    A short-term key is ``bedrock-api-key-`` and the base64 of a URL without its scheme, presigned with Signature
    Version 4: ``X-Amz-Date`` and ``X-Amz-Expires`` say when it expires, ``X-Amz-Credential`` contains its region.

    Raises:
        ConfigurationError: It has the prefix of a short-term key but cannot be decoded. The message never quotes it.
    """
    value = key.reveal()
    if not value.startswith(PREFIX):
        return None
    try:
        return _read(value.removeprefix(PREFIX))
    except (ValueError, KeyError, IndexError, OverflowError, ConfigurationError):
        pass
    message = f"cannot decode the short-term Bedrock API key ({PREFIX}…); it is truncated or damaged"
    raise ConfigurationError(
        message, hint="Copy the whole key again, or create a new one", code="bedrock-invalid-api-key"
    )


def _read(encoded: str) -> Term:
    try:
        url = base64.b64decode(encoded, validate=True).decode("ascii")
    except binascii.Error:
        raise ValueError from None
    query = parse_qs(urlsplit(f"https://{url}").query, strict_parsing=True)
    scope = query["X-Amz-Credential"][0].split("/")
    life = int(query["X-Amz-Expires"][0])
    signed = _SIGNATURE.fullmatch(query["X-Amz-Signature"][0])
    if len(scope) != _SCOPE_PARTS or not signed or not 0 < life <= MAX_LIFE:
        raise ValueError
    begins = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return Term(ends=begins + timedelta(seconds=life), region=checked_region(scope[2], "region"))
