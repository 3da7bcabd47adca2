"""Recognizes text that is not a secret but contains or should contain one: quoted, marked, assigned, abbreviated.

See docs/decisions.md, "What looks like something else is not taken for a key".
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final


_QUOTES: Final = frozenset("\"'`\u201c\u201d\u2018\u2019\u201e\u00ab\u00bb")

_VARIABLE: Final = re.compile(r"\$\{?\w+\}?|\$\(.*\)|\$env:\w+|%\w+%|\$?\{\{.*\}\}", re.DOTALL)
_HEADER: Final = re.compile(r"(?:[a-z-]*authorization|[a-z-]*api-key)\s*:|(?:bearer|basic|token)\s", re.IGNORECASE)

# In a bearer token, equals signs are padding at the end (RFC 6750, section 2.1). A colon also separates a user's name
# from a password, so what is before it must be a name for a secret.
_ASSIGNMENT: Final = re.compile(
    r"(?:export|set|setx|env|declare(?:\s+-\w+)?|-e|--env)\s+\w+|\$env:\w+\s*=|-{0,2}[A-Za-z_][\w.-]{0,63}\s*=\s*[^=\s]"
    r"|-{0,2}(?:pass|(?=[\w.-]{0,63}(?:key|token|secret|passw|passphrase))[A-Za-z_][\w.-]{0,63})\s*:\s*\S",
    re.IGNORECASE,
)
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]{0,31}://", re.IGNORECASE)
# Base64 can start with a slash, but hardly with one of these.
_PATH: Final = re.compile(
    r"(?:~|/(?:dev|etc|home|mnt|opt|private|proc|root|run|tmp|usr|Users|var))/"
    r"|(?:[A-Za-z]:|~|%\w+%|\$(?:env:)?\w+)[\\/]|\\\\\w"  # on Windows
)
_PLACEHOLDER: Final = re.compile(
    r"<.*>|your[-_](?:\w+[-_])?(?:key|token|secret)(?:[-_]here)?", re.IGNORECASE | re.DOTALL
)
# Google fills the tokens of service accounts up with dots, often hundreds: after a whole token, they mean nothing.
_ABBREVIATED: Final = re.compile(r"\.{3}[^.]|^.{0,39}\.{3}$|\*{3}|[\u2026\u2022]")
_NO_VALUE: Final = re.compile(r"\(?(?:null|none|nil)\)?|undefined|nan|n/a|true|false", re.IGNORECASE)
_ERROR: Final = re.compile(r"(?:\w*error|\w*exception|fatal|usage|warning)\s*:", re.IGNORECASE)

# What shells, prompts, Markdown and sentences put around a value. A password can end with any of them, but then it is
# short or has others inside: what is between them must be long, and have only the characters of a bearer token.
_MARKED: Final = re.compile(
    r"[$%#()*:<>\[\]{|}]+[\w.~+/=-]{20,}+[$%#()*:<>\[\]{|}.]*"
    r"|[\w.~+/=-]{20,}(?:[$%#()*:<>\[\]{|}]+\.?|\^M\$?)"
    r"|[\w~+/=-]{20,}\.",  # a bearer token can end with a dot, but that is never its only one
    re.ASCII,
)


_MARKS: Final = "a bracket, an asterisk, a percent sign, or a period"


def looks_like(text: str) -> str | None:
    """Return what a text looks like instead of a secret, as a noun phrase that never quotes it; None for a secret.

    Each of these once was, or would be, stored as if it were the secret. Whether a secret can be sent at all is another
    question; see `freshkey.secret.is_token`.
    """
    inner = text.strip()
    if "\n" in inner or "\r" in inner:
        return "more than one line, as if it had been wrapped"
    if inner[:1] == "{" and inner[-1:] == "}" and not _VARIABLE.fullmatch(inner):
        return "a JSON document"
    shapes = (
        ("a value in quotation marks", bool({inner[:1], inner[-1:]} & _QUOTES)),
        ("the name of a variable, not its value", bool(_VARIABLE.fullmatch(inner))),
        ("an HTTP header", bool(_HEADER.match(inner))),
        ("an assignment, such as NAME=value", bool(_ASSIGNMENT.match(inner))),
        ("a URL", bool(_URL.match(inner))),
        ("the name of a file", bool(_PATH.match(inner))),
        ("a placeholder", bool(_PLACEHOLDER.fullmatch(inner))),
        ("a piece of a file, with quotation marks, a backslash, a comma, or a semicolon", _is_piece(inner)),
        ("an abbreviated value", bool(_ABBREVIATED.search(inner))),
        ("a word for a missing value, such as null", bool(_NO_VALUE.fullmatch(inner))),
        ("an error message", bool(_ERROR.match(inner))),
        (f"a value with a mark before or after it, such as {_MARKS}", bool(_MARKED.fullmatch(inner))),
        ("text with invisible characters", any(map(_is_invisible, text))),
    )
    return next((shape for shape, matches in shapes if matches), None)


def _is_piece(text: str) -> bool:
    return not _QUOTES.isdisjoint(text) or "\\" in text or text.endswith((",", ";"))


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in {"Cf", "Zl", "Zp"} or (character.isspace() and not character.isascii())
