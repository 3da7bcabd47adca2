"""Recognizes a path from a variable or setting that only a shell would read as it was meant."""

from __future__ import annotations

import os
import re
from typing import Final


_QUOTES: Final = "\"'`\u201c\u201d\u2018\u2019"
_VARIABLE: Final = re.compile(r"\$\{?\w|%\w+%")


def path_flaw(text: str) -> str | None:
    """Return what is wrong with the way a path is written, as a predicate that does not quote it; None if nothing.

    Files for containers and services set variables without a shell, so quotes become part of the path, and nothing is
    expanded: the file is not found, or a folder is made whose name begins with a quotation mark. But a name may have
    any of these characters: what exists is what was meant.

    Args:
        text: The path; with the home directory for ``~`` if that is expanded.
    """
    flaw = _flaw(text)
    return None if flaw is None or os.path.lexists(text) else flaw


def _flaw(text: str) -> str | None:
    if text[:1] and (text[0] in _QUOTES or text[-1] in _QUOTES):
        return "is in quotes, which only a shell removes"
    if text != text.strip():
        return "begins or ends with a space or a line break"
    if text.startswith("~"):
        return "begins with ~, which only a shell replaces"
    if text.startswith("file:"):
        return "is a URL, not a path"
    if _VARIABLE.search(text):
        return "contains a variable, which only a shell replaces"
    return None
