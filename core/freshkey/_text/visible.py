"""Replaces what a person cannot see in text of others: names, messages, codes, output of programs.

See docs/decisions.md, "One place makes text visible, and one removes secrets from it".
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final


MAX_NAME: Final = 256
"""Maximum length of a name that is shown, in characters."""

MAX_MARKS: Final = 3
"""Maximum combining characters on one letter; no orthography needs more, and a hundred of them cover other lines."""

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"

_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Categories: control, format (bidirectional, zero-width, tags), unassigned, private, surrogates, separators."""

# Default_Ignorable_Code_Point and blanks that Unicode counts as letters, symbols or marks: Hangul fillers, the empty
# Braille pattern, the combining grapheme joiner, Khmer inherent vowels, variation selectors.
_BLANK: Final = re.compile(
    "[\u115f\u1160\u2800\u3164\uffa0\u034f\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef\U00016fe4]"
)

_SCRIPTS: Final = ("LATIN ", "CJK UNIFIED ", "HIRAGANA LETTER ", "KATAKANA LETTER ", "HANGUL SYLLABLE ")
"""Scripts whose letters are shown; those of others can look like ASCII letters, or are written right to left."""

_LAST_LATIN: Final = "\u024f"
"""End of Latin Extended-B; later blocks have letters that look like ASCII letters."""


def is_invisible(character: str) -> bool:
    """Return whether a character shows nothing by itself, or changes how others are shown; not so a space."""
    return unicodedata.category(character) in _INVISIBLE or _BLANK.match(character) is not None


def visible(text: str, longest: int | None = None) -> str:
    """Return text on one line with only visible characters; each run of others becomes one replacement character.

    Args:
        text: Any text.
        longest: Maximum characters of the result; what is longer ends with an ellipsis.
    """
    text = _exactly(text) if longest is None else _exactly(text)[: 4 * longest]
    if not (text.isascii() and text.isprintable()):
        text = _without_piles("".join(_shown(text)))
    return text if longest is None or len(text) <= longest else f"{text[: longest - 1]}…"


def escaped(text: str, longest: int | None = None) -> str:
    r"""Return text whose invisible characters are written as escapes, such as ``\u200b``, so that differences show.

    For what the user compares or trusts: IDs of accounts, email addresses, paths.

    Args:
        text: Any text.
        longest: Maximum characters of the result; what is longer ends with an ellipsis.
    """
    text = _exactly(text) if longest is None else _exactly(text)[: longest + 1]
    if not (text.isascii() and text.isprintable()):
        text = "".join(_escaped(text))
    return text if longest is None or len(text) <= longest else f"{text[: longest - 1]}…"


def spelled_out(text: str) -> str:
    r"""Return text in which a user sees every character, and none for another; the others as codes, ``\u{2800}``.

    For questions about trust. What is shown is a list of what is allowed, unlike for `escaped`: letters that look like
    ASCII letters are not, and neither are combining characters.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if _is_plain(one) else f"\\u{{{ord(one):x}}}" for one in text)


def _exactly(text: str) -> str:
    # Plugins may give subclasses, whose methods need not do what those of a string do.
    return str.__str__(text) if type(text) is str else "".join(str.__iter__(text))


def _shown(text: str) -> list[str]:
    shown: list[str] = []
    hidden = False
    for character in text:
        this = not character.isprintable() if character.isascii() else is_invisible(character)
        if not this:
            shown.append(" " if unicodedata.category(character) == "Zs" else character)
        elif not hidden:
            shown.append(REPLACEMENT)
        hidden = this
    return shown


def _without_piles(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character) in {"Mn", "Me"} else 0
        if marks <= MAX_MARKS:
            kept.append(character)
        elif marks == MAX_MARKS + 1:
            kept.append(REPLACEMENT)
    return "".join(kept)


def _escaped(text: str) -> list[str]:
    shown: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character) in {"Mn", "Me"} else 0
        other_space = character != " " and unicodedata.category(character) == "Zs"
        if marks > MAX_MARKS or other_space or is_invisible(character):
            code = ord(character)
            shown.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")  # noqa: PLR2004  Python's own escapes
        else:
            shown.append(character)
    return shown


def _is_plain(character: str) -> bool:
    """Return whether a character is visible, stands for itself, and does not move others."""
    if character.isascii():
        return character.isprintable()
    name = unicodedata.name(character, "")
    return (
        unicodedata.category(character) in {"Ll", "Lu", "Lo", "Nd"}
        and name.startswith(_SCRIPTS)
        and not (name.startswith("LATIN ") and (character > _LAST_LATIN or "CLICK" in name or "DOTLESS" in name))
        and unicodedata.normalize("NFKC", character) == character
    )
