"""Recognizes by its shape what is not a Bedrock API key, but was set or entered as one.

A key needs no prefix: gateways give out keys of their own. See docs/decisions.md, "What looks like something else is
not taken for a key".
"""

from __future__ import annotations

import re
from typing import Final

from freshkey_bedrock.api_key.parse import PREFIX


_LONG_TERM_PREFIX: Final = "ABSK"

_BEGINNING: Final = "ABSKQmVkcm9ja0FQSUtleS"
"""Beginning of the long-term keys that AWS issues: the rest is ``BedrockAPIKey-`` and so on, in base64."""

_LONG_TERM: Final = re.compile(r"ABSK[A-Za-z0-9+/_-]*={0,2}")

_KEY_ID: Final = re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{12,124}")
"""IAM API reference, AccessKey: 16 to 128 characters."""

_SECRET_KEY: Final = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])(?=.*[/+])[A-Za-z0-9/+]{40}")

_PUNCTUATION: Final = "!\"#$%&'()*,.:;<>?@[\\]^`{|}"


def other_than_key(text: str) -> str | None:
    """Return what a text looks like that no Bedrock API key and no key of a gateway does; None for a key.

    A noun phrase, which never quotes the text.
    """
    if _KEY_ID.fullmatch(text):
        return "an AWS access key ID, which is part of AWS credentials"
    inner = text.strip(_PUNCTUATION)
    if not inner.startswith((_LONG_TERM_PREFIX, PREFIX)):
        return None
    if inner != text:
        return "a key with punctuation around it"
    half, rest = divmod(len(text), 2)
    twice = not rest and text[:half] == text[half:]
    if twice or text.count(_BEGINNING) > 1 or PREFIX in text[1:] or f"={_LONG_TERM_PREFIX}" in text:
        return "two keys, one after the other"
    if text.startswith(_LONG_TERM_PREFIX) and not _LONG_TERM.fullmatch(text):
        return "a key with something else in it or after it: it has only letters, digits, + and /, and = at the end"
    return None


def other_than_entered_key(text: str) -> str | None:
    """Return what a text looks like that a user hardly means by "API key", as `other_than_key` does.

    In a variable, such a text may be a gateway's key.
    """
    if text.startswith("sk-ant-"):
        return "a Claude API key"
    return "an AWS secret access key, which is part of AWS credentials" if _SECRET_KEY.fullmatch(text) else None
