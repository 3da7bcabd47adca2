"""Finds TOML that would take long to parse, in one pass, before it is parsed.

``tomllib`` copies a dotted key with every dot and looks up each of its beginnings, so that a key with 40,000 dots takes
minutes; nested brackets end in a `RecursionError`.
See docs/decisions.md, "What is nested too deeply is refused before it is parsed".
"""

from __future__ import annotations

import re
from typing import Final

from attrs import define


MAX_DEPTH: Final = 32
"""Maximum nesting depth of tables and lists."""

MAX_KEY_WORK: Final = 1_000_000
"""Maximum look-ups of beginnings of keys: one for each key without dots at the top, and the square of a key's parts."""

_TOKEN: Final = re.compile(
    r'"""(?:[^"\\]++|\\.|"{1,2}(?!"))*+(?:"{3,5}|\\?\Z)'
    r"|'''(?:[^']++|'{1,2}(?!'))*+(?:'{3,5}|\Z)"
    r'|"(?:[^"\\\n]++|\\[^\n])*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+"
    r"|[^\"'#.\[\]{}=,\n]++|\n++"
    r"|.",
    re.DOTALL,
)
"""A string, also one that is not closed; a comment; what is between the signs that matter; such a sign."""


def is_nested_too_deeply(text: str) -> bool:
    """Return whether brackets or dotted keys are nested more than `MAX_DEPTH` deep, or together take long to parse.

    The time is linear in the length of the text, whether or not it is valid TOML.
    """
    nesting = _Nesting()
    return any(nesting.too_deep_with(found[0]) for found in _TOKEN.finditer(text))


@define
class _Nesting:
    """Where a scan is: how deep in brackets, in which table, and at which part of a key."""

    depth: int = 0
    dots: int = 0
    header: int = 0
    """Parts of the last table header."""
    in_header: bool = False
    at_start: bool = True
    """Of a line, but for white space."""
    work: int = 0

    def too_deep_with(self, token: str) -> bool:
        sign = token[0]
        if sign == ".":
            self.dots += 1
        elif sign in "[{":
            self.in_header |= self.at_start and not self.depth and sign == "["
            self.depth += 1
            self.dots = 0
        elif sign in "]}":
            self.depth = max(self.depth - 1, 0)
            if self.in_header:
                self.header, self.in_header, self.depth = 0, False, 0
                self.header = self._end_key()
            self._end_key()
        elif sign in "=,\n":
            self._end_key()
            if sign == "\n" and self.in_header:
                self.depth, self.in_header = 0, False  # a header ends with its line, closed or not
        self.at_start = sign == "\n" or (self.at_start and not token.strip())
        return max(self.depth, self.dots) > MAX_DEPTH or self.work > MAX_KEY_WORK

    def _end_key(self) -> int:
        """Count the work of the key, and return its parts."""
        parts, self.dots = self.dots + 1, 0
        self.work += parts * (self.header + parts)
        return parts
