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

_SPACE: Final = r"[\s\ufeff]*+(?:\xef\xbb\xbf[\s\ufeff]*+)*+"
"""White space and byte order marks, also as they look in Latin-1; programs that are put together write several."""
_NOTICE: Final = (
    r"(?:<br ?/?>\s*)?(?:<b>)?(?:PHP )?(?:Notice|Warning|Deprecated|Strict Standards)(?:</b>)?: "
    r".{1,2000}?(?=\{\s*[\"}])"
)
_CALL: Final = r"[A-Za-z_$][\w.$]{0,63}\((?=\s*\{)"
_KNOWN: Final = rf"\)\]\}}',?|while ?\(1\);|for ?\(;;\);|&&&START&&&|<!--.*?-->|{_CALL}|{_NOTICE}"
_GUARD: Final = re.compile(rf"{_SPACE}(?:(?:{_KNOWN}){_SPACE})*", re.DOTALL)
"""What stands before the JSON: what keeps a browser from running it as a script, a call, a comment, messages of PHP."""

_ITSELF: Final = re.compile(r"<(?!br\b|b>)|\{|\[\s*[\"{\[]", re.IGNORECASE)
"""The beginning of a page, an object or a list: an object inside of it is a part, and does not speak for the whole."""
_PRINTED: Final = re.compile(r"<(?:br\b|b>|!--)", re.IGNORECASE)
"""How messages of PHP and comments begin, which a program may write before its answer."""
_DOCUMENT: Final = re.compile(r"<(?:!doctype|html|head|body|title|script|style|meta|form)\b", re.IGNORECASE)
_OBJECT: Final = re.compile(r"\{\s*\"")

_STRING: Final = r"\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\"?+"
_WORDS: Final = {"None": "null", "undefined": "null", "True": "true", "False": "false"}
_NUMBER: Final = r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?"
_FLAW: Final = re.compile(
    rf"{_STRING}|(?<![\w.+-])(?:{_NUMBER}|{'|'.join(_WORDS)})(?!\w)|,(?=\s*[}}\]])", re.ASCII | re.DOTALL
)
"""Where a flaw may be: a string, a number, another language's word for a value, a comma after the last member."""
_VALID_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_ESCAPE: Final = re.compile(r"\\(u[0-9A-Fa-f]{4}|[\"\\/bfnrt']|)")
_MAX_MENDED: Final = 1 << 16
"""Characters; token responses are far shorter, and to mend one takes time."""

_ACCESS: Final = ("access_token", "accessToken")

_MAX_DIGITS: Final = 300
"""Digits of an integer that is kept: any such number is also a float, and a refresh token may be one."""


def read_object(body: bytes) -> dict[str, Any] | None:
    """Return the members of the JSON object that begins a body; None if there is none, or its end is missing.

    Read in spite of these: byte order marks, UTF-16 and UTF-32, something known before the object and anything after
    it, a string around it, control characters and invalid escapes in strings, commas too many, leading zeros, and
    ``NaN``. If it has tokens, any text may be before it. Of a member that is there twice, the last one counts, as in
    nearly every JSON parser (RFC 8259, section 4). Members that are nested too deeply are left out.
    """
    value = read_value(body)
    if isinstance(value, str):
        value = _parse(value)
    elif not isinstance(value, dict | list):
        value = _with_tokens(text_of(body))
    if not isinstance(value, dict):
        return None
    return {name: member for name, member in value.items() if not too_deep(member, MAX_DEPTH - 1)}


def read_value(body: bytes) -> object:
    """Return the JSON value that begins a body, read like `read_object`; None if there is none."""
    text = text_of(body)
    return _parse(text, start_of(text))


def has_token(body: bytes) -> bool:
    """Return whether a body is a complete JSON object with an access token."""
    return _has(read_object(body), _ACCESS)


def is_page(body: bytes) -> bool:
    """Return whether a body is HTML or XML, which no token endpoint sends."""
    text = text_of(body)
    return text.startswith("<", start_of(text))


def is_before_an_answer(body: bytes) -> bool:
    """Return whether a body looks like a page, but is only what a program may have written before its answer."""
    text = text_of(body)
    start = start_of(text)
    return bool(_PRINTED.match(text, start)) and not _DOCUMENT.search(text, start)


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


def _with_tokens(text: str) -> object:
    """Return the first object of a text if it has tokens; None if the text is a page, or begins like JSON itself."""
    start = start_of(text)
    found = None if _ITSELF.match(text, start) else _OBJECT.search(text, start)
    if not found or (_PRINTED.match(text, start) and _DOCUMENT.search(text, start, found.start())):
        return None
    value = _parse(text, found.start())
    return value if _has(value, (*_ACCESS, "refresh_token")) else None


def _has(value: object, names: tuple[str, ...]) -> bool:
    return isinstance(value, dict) and any(isinstance(value.get(name), str) and value[name] for name in names)


def _parse(text: str, start: int = 0) -> object:
    value = _decode(text, start)
    if value is not None or len(text) - start > _MAX_MENDED or text[start : start + 1] not in {"{", "[", '"'}:
        return value
    return _decode(_FLAW.sub(_mended, text[start:]), 0)


def _decode(text: str, start: int) -> object:
    decoder = json.JSONDecoder(
        object_pairs_hook=_last, parse_int=_integer, parse_float=float, parse_constant=float, strict=False
    )
    try:
        return decoder.raw_decode(text, start)[0]
    except (ValueError, RecursionError):
        return None


def _mended(found: re.Match[str]) -> str:
    flaw = found[0]
    if flaw.startswith('"'):
        return _ESCAPE.sub(_escape, flaw)
    if flaw == ",":
        return ""
    if flaw in _WORDS:
        return _WORDS[flaw]
    return flaw if _VALID_NUMBER.fullmatch(flaw) else f'"{flaw}"'  # lifetimes are read from strings, too


def _escape(found: re.Match[str]) -> str:
    if found[1] == "'":  # as scripts and PHP write it
        return "'"
    return found[0] if found[1] else r"\\"


def _last(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        log.warning("the authorization server's response has a member twice; the last one counts")
    return found


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)
