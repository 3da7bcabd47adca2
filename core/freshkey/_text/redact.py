"""Removes secrets from text of others, before it is shown, logged or put into an error.

Two kinds are found: secrets that are known, in whatever form they are written, and what has the shape of one.
See docs/decisions.md, "One place makes text visible, and one removes secrets from it".
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Final

from freshkey._text.shapes import PUBLIC_PREFIX, without_shapes
from freshkey._text.visible import is_invisible, visible


MASK: Final = "[redacted]"

MAX_MESSAGE: Final = 1000
"""Maximum characters of a text of others that are shown."""

_MAX_READ: Final = 8 * MAX_MESSAGE
"""Characters of it that are looked at: a mask is shorter than what it hides."""

_MIN_SECRET: Final = 4
_MIN_ANYWHERE: Final = 8
"""A shorter secret is found only as a word of its own: it may be part of many words."""

_PIECE: Final = 12
"""Characters in a row that a text and a secret have in common by design, not by chance."""

_EDGE: Final = 8
"""The same at the beginning and the end of a secret, where it is cut off."""

_MAX_SECRET: Final = 65536
_LETTER: Final = re.compile(r"\w")
_PART: Final = re.compile(r"[\w+%~-]", re.ASCII)
_REST: Final = re.compile(r"[\w+%~-]*=*", re.ASCII)


class Redactor:
    """Removes known secrets, and whatever looks like one, from text.

    Args:
        secrets: The secrets that are known, as plain strings. Reading them is put off until there is a text.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self.secrets = secrets

    def __call__(self, text: object, longest: int = MAX_MESSAGE) -> str:
        """Return text as it may be shown: without secrets, visible, on one line, and limited in length.

        Args:
            text: Any object: the text of an exception need not be a string.
            longest: Maximum characters of the result.
        """
        return visible(self.masked(_text(text)), longest)

    def masked(self, text: str) -> str:
        """Return text without secrets, otherwise unchanged; what is far too long for a message is cut off."""
        text = text[:_MAX_READ]
        if not text:
            return ""
        return without_shapes(_without(text, {secret for secret in self.secrets if secret}), MASK)

    def quotes(self, text: str) -> bool:
        """Return whether a text quotes a secret."""
        return self.masked(text) != text


def redacted(text: object, longest: int = MAX_MESSAGE) -> str:
    """Return a text of others as it may be shown if no secret is known: without whatever looks like one."""
    return Redactor(())(text, longest)


def masked(text: str) -> str:
    """Return a text of others without whatever looks like a secret, otherwise as it is."""
    return Redactor(()).masked(text)


def _text(value: object) -> str:
    if type(value) is str:
        return value
    try:
        return str.__str__(value)[:_MAX_READ] if isinstance(value, str) else str(value)[:_MAX_READ]
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"a {type(value).__name__} without readable text"


def _without(text: str, secrets: Iterable[str]) -> str:
    """Return text with each known secret masked."""
    squeezed, places = _squeezed(text)
    hidden = bytearray(len(squeezed))
    pieces = {squeezed[at : at + _PIECE] for at in range(len(squeezed) - _PIECE + 1)}
    found: set[str] = set()
    for secret in secrets:
        whole, parts = _forms(secret[:_MAX_SECRET])
        for form in whole:
            _hide(hidden, squeezed, form, text if len(form) < _MIN_ANYWHERE else "", places)
        if parts:
            found |= {piece for form in whole for piece in _pieces(form) if piece in pieces}
            found |= {edge for edge in _edges(secret) if edge in squeezed}
    for piece in found:
        if not _is_like_words(piece):
            _hide(hidden, squeezed, piece)
    return _masked(text, places, hidden) if any(hidden) else text


def _squeezed(text: str) -> tuple[str, list[int]]:
    """Return text without spaces, line breaks and invisible characters, and where the others were.

    A secret may be spread over lines, and a hostile text hides one between characters that show nothing.
    """
    places = [at for at, each in enumerate(text) if "!" <= each <= "~" or not (each.isspace() or is_invisible(each))]
    return "".join(text[at] for at in places), places


def _forms(secret: str) -> tuple[set[str], bool]:
    """Return the forms in which a secret may be written, and whether parts of them give it away, too."""
    bare, _ = _squeezed(secret)
    if len(bare) < _MIN_ANYWHERE:
        return ({bare} if len(bare) >= _MIN_SECRET else set()), False
    from html import escape
    from json import dumps
    from urllib.parse import quote, quote_plus

    data = secret.encode("utf-8", "surrogatepass")
    forms = {bare, bare[::-1], data.hex(), data.hex().upper(), *_base64(data)}
    for each in {secret, secret.replace("\r\n", "\n")}:
        quoted = (quote(each.encode("utf-8", "surrogatepass"), safe=safe) for safe in ("", "/", "/:", "!*'()"))
        escapes = (dumps(each)[1:-1], dumps(each, ensure_ascii=False)[1:-1], repr(each)[1:-1], escape(each))
        forms |= {*quoted, quote_plus(each.encode("utf-8", "surrogatepass")), *escapes}
        forms |= {each.replace("'", "'\"'\"'"), each.replace("'", r"'\''"), ascii(each)[1:-1]}
    forms |= {re.sub(r"%[0-9A-F]{2}", lambda hit: hit[0].lower(), form) for form in tuple(forms) if "%" in form}
    # Parts of a document are also in other texts: its URLs, its names. What is secret in it, `secrets_in` yields.
    return {_squeezed(form)[0] for form in forms}, not bare.startswith(("{", "["))


def _base64(data: bytes) -> Iterator[str]:
    """Yield what base64 of any text with this in it contains, for each of the three positions where it may begin."""
    for before in range(3):
        encoded = b64encode(b"\0" * before + data).decode().rstrip("=")
        # The characters at both ends also depend on what is next to it.
        core = encoded[(0, 2, 3)[before] : len(encoded) - ((before + len(data)) % 3 != 0)]
        if len(core) >= _EDGE:
            yield core
            yield core.replace("+", "-").replace("/", "_")


def _edges(secret: str) -> Iterator[str]:
    """Yield the beginning of a secret, after what all of its kind begin with, and its end."""
    bare, _ = _squeezed(secret)
    public = PUBLIC_PREFIX.match(bare)
    start = public.end() if public else 0
    if len(bare) - start >= 2 * _EDGE:
        yield from (bare[start : start + _EDGE], bare[-_EDGE:])


def _pieces(form: str) -> Iterator[str]:
    """Yield the pieces of a form in which something is not what all secrets of its kind begin with."""
    public = PUBLIC_PREFIX.match(form)
    start = max(0, public.end() - _EDGE) if public else 0
    for at in range(start, len(form) - _PIECE + 1):
        yield form[at : at + _PIECE]


def _is_like_words(piece: str) -> bool:
    """Return whether a piece has no digit and one case, as words and names do, and so may be there by chance."""
    letters = "".join(each for each in piece if each.isalpha())
    return not any(each.isdigit() for each in piece) and (letters[1:].islower() or letters.isupper() or not letters)


def _hide(hidden: bytearray, squeezed: str, form: str, word_of: str = "", places: list[int] | None = None) -> None:
    """Mark each place of a form; if `word_of` is the text, only where it is a word of its own."""
    at = squeezed.find(form)
    while at >= 0:
        end = at + len(form)
        if not (word_of and places) or not _is_inside_word(word_of, places[at], places[end - 1]):
            hidden[at:end] = b"\1" * len(form)
        at = squeezed.find(form, at + 1)


def _is_inside_word(text: str, first: int, last: int) -> bool:
    return (first > 0 and _LETTER.match(text, first - 1) is not None) or _LETTER.match(text, last + 1) is not None


def _masked(text: str, places: list[int], hidden: bytearray) -> str:
    """Return text with a mask for each hidden run, together with the rest of the word that it is part of."""
    shown: list[str] = []
    done = at = 0
    while (at := hidden.find(1, at)) >= 0:
        end = hidden.find(0, at)
        end = len(hidden) if end < 0 else end
        first, last = places[at], places[end - 1] + 1
        if end - at >= _EDGE:
            while first > done and _PART.match(text, first - 1):
                first -= 1
            if rest := _REST.match(text, last):
                last = rest.end()
        shown += [text[done:first], MASK] if first > done or not shown else []
        done = max(done, last)
        at = end
    return "".join([*shown, text[done:]])
