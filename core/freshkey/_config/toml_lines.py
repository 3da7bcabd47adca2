"""Finds the line of a TOML text on which a key is set, for error messages that a person can act on."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final


_ENDS: Final = ("]", "}", '"""', "'''")
"""One of these is in the last line of every statement that spans lines."""

MAX_WORK: Final = 1_000_000
"""Characters read at the most; a list of lists is read again for each of its lines."""


def line_of(text: str, keys: tuple[str, ...]) -> int | None:
    """Return the number of the line on which the statement begins that sets the key, or opens the table, `keys`.

    Args:
        text: Valid TOML.
        keys: Names from the top level down, such as ``("profiles", "me", "lead")``.

    Returns:
        A line number that counts from 1; None where the text does not set the key, or where finding it would take long.
    """
    table: tuple[str, ...] = ()
    for number, parsed, is_header in _statements(text):
        paths = list(_paths(parsed))
        if is_header:
            table = paths[-1]
        if keys in ({*paths} if is_header else {table + path for path in paths}):
            return number
    return None


def _statements(text: str) -> Iterator[tuple[int, dict[str, Any], bool]]:
    """Yield each statement: its first line, what it says by itself, and whether it is a table header.

    A statement that spans lines (an array, a multi-line string) is the only text that is not valid TOML until its
    last line has been read.
    """
    lines: list[str] = []
    spent = 0
    for number, line in enumerate(text.split("\n"), start=1):
        lines.append(line)
        if len(lines) > 1 and not any(end in line for end in _ENDS):
            continue  # reading all of it again for every line would take minutes for a long list
        spent += sum(map(len, lines))
        if spent > MAX_WORK:
            return
        try:
            parsed = tomllib.loads("\n".join(lines))
        except tomllib.TOMLDecodeError:
            continue
        if parsed:
            yield number - len(lines) + 1, parsed, lines[0].lstrip().startswith("[")
        lines = []


def _paths(parsed: object, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every key, outer ones first; an array of tables counts as its tables."""
    if isinstance(parsed, Mapping):
        for key, value in parsed.items():
            yield (*above, key)
            yield from _paths(value, (*above, key))
    elif isinstance(parsed, list):
        for value in parsed:
            yield from _paths(value, above)
