"""Says why the content of a credentials file is not a JSON object, without quoting any of it."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter
from typing import Any, Final


_MEMBER: Final = re.compile("[a-z][a-z0-9_]{0,31}")

_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
"""A string, or the beginning of one up to the end of the data, so that no search begins within one."""

_WRONG_QUOTES: Final = re.compile(rb"\{\s*('|\xe2\x80[\x98-\x9f])")


def with_escaped_breaks(data: bytes) -> bytes:
    """Return JSON in which the line breaks in strings are escaped, as they are lost when a private key is pasted."""
    return _STRING.sub(lambda found: re.sub(rb"\r?\n", rb"\\n", found[0]), data)


def flaw_of(data: bytes) -> str:
    """Return why data is not a JSON object, as a predicate."""
    text = data.strip()
    if not text:
        return "is empty"
    if text.startswith(b"-----BEGIN "):
        return "is a bare private key, not a JSON object"
    if data.startswith(b"\x30\x82"):  # an ASN.1 sequence, as every PKCS #12 file begins
        return "is a PKCS #12 (.p12) file, not a JSON object"
    if text[:2] in {b"'{", b"`{"} or _WRONG_QUOTES.match(text):
        return 'is not valid JSON: it has other quotes than "'
    if _is_encoded(text):
        return "is a JSON object encoded in Base64; decode it first"
    return _flaw_of_json(data)


def _flaw_of_json(data: bytes) -> str:
    try:
        twice = _twice(data)
        if isinstance(value := json.loads(data), str) and value.lstrip().startswith("{"):
            return "is a JSON object inside a JSON string; write it without the quotes around it"
    except json.JSONDecodeError as error:
        return f"is not valid JSON: line {error.lineno}, column {error.colno}"
    except (ValueError, RecursionError):
        return "is not valid JSON"
    return f"contains {twice} twice" if twice else "is not a JSON object"


def _is_encoded(text: bytes) -> bool:
    try:
        return base64.b64decode(b"".join(text.split()), validate=True).lstrip().startswith(b"{")
    except binascii.Error:
        return False


def _twice(data: bytes) -> str | None:
    """Return a member that a JSON text contains twice, without quoting what is no name."""
    found: list[str] = []

    def notice(pairs: list[tuple[str, Any]]) -> None:
        found.extend(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)

    json.loads(data, object_pairs_hook=notice)
    if not found:
        return None
    return f"the member {found[0]!r}" if _MEMBER.fullmatch(found[0]) else "a member"
