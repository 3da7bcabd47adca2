"""Reads the JSON object in a body, in any reading that is safe: a token response was paid for with a token.

See docs/decisions.md, "A token response is read liberally".
"""

from __future__ import annotations

import json
import logging
import re
from typing import Any, Final

from freshkey._json import MAX_BODY, MAX_DEPTH, too_deep


log = logging.getLogger(__name__)

_MARKS: Final = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),  # before UTF-16, whose mark is its beginning
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_ZEROS: Final = (
    (b"\x00\x00\x00", 0, "utf-32-be"),
    (b"\x00\x00\x00", 1, "utf-32-le"),
    (b"\x00", 0, "utf-16-be"),
    (b"\x00", 1, "utf-16-le"),
)
"""Where the first character, which is ASCII in JSON, has its zero bytes (RFC 4627, section 3)."""

_NOTICE: Final = r"(?:<br ?/?>\s*)?(?:<b>)?(?:Notice|Warning|Deprecated|Strict Standards)(?:</b>)?: [^{]{1,2000}(?=\{)"
_GUARD: Final = re.compile(rf"\s*(?:\)\]\}}',?|while ?\(1\);|for ?\(;;\);|{_NOTICE})?\s*")
"""What stands before the JSON: something that keeps a browser from running it as a script, or a message of PHP."""

_TOKENS: Final = ("access_token", "accessToken")
_BEGINNING: Final = 4096
"""Bytes that show what kind of text a body is."""

_MAX_DIGITS: Final = 300
"""Digits of an integer that is kept: any such number is also a float, and a refresh token may be one."""


def read_object(body: bytes) -> dict[str, Any] | None:
    """Return the members of the JSON object that begins a body; None if there is none, or its end is missing.

    Read in spite of these: a byte order mark, UTF-16 and UTF-32, something known before the object and anything after
    it, control characters in strings, and ``NaN``. Of a member that is there twice, the last one counts, as in nearly
    every JSON parser (RFC 8259, section 4). Members that are nested too deeply are left out.
    """
    value = read_value(body)
    if not isinstance(value, dict):
        return None
    return {name: member for name, member in value.items() if not too_deep(member, MAX_DEPTH - 1)}


def read_value(body: bytes) -> object:
    """Return the JSON value that begins a body, read like `read_object`; None if there is none."""
    text = text_of(body)
    decoder = json.JSONDecoder(
        object_pairs_hook=_last, parse_int=_integer, parse_float=float, parse_constant=float, strict=False
    )
    try:
        return decoder.raw_decode(text, start_of(text))[0]
    except (ValueError, RecursionError):
        return None


def has_token(body: bytes) -> bool:
    """Return whether a body is a complete JSON object with an access token."""
    members = read_object(body) or {}
    return any(isinstance(members.get(name), str) and members[name] for name in _TOKENS)


def is_page(body: bytes) -> bool:
    """Return whether a body is HTML or XML, which no token endpoint sends."""
    text = text_of(body[:_BEGINNING])
    return text[start_of(text) :].startswith("<")


def start_of(text: str) -> int:
    """Return where the JSON begins."""
    found = _GUARD.match(text)
    return found.end() if found else 0


def text_of(body: bytes) -> str:
    """Return a body as text, in whatever encoding it is."""
    body = body[:MAX_BODY]
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(encoding, "replace")
    for zeros, index, encoding in _ZEROS:
        if body[index : index + len(zeros)] == zeros:
            return body.decode(encoding, "replace")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body.decode("latin-1")  # never fails, and tokens are ASCII in every such encoding


def _last(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        log.warning("the authorization server's response has a member twice; the last one counts")
    return found


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)
