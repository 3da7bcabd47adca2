"""A word of a command that a hint tells the user to run, quoted as the shells of the platform need it."""

from __future__ import annotations

import re
import sys
from typing import Final


_PLAIN: Final = re.compile(r"[\w.:\\/+=-]+")


def shell_word(text: str, *, platform: str = sys.platform) -> str:
    """Return a text as one word of a command line.

    On Windows, cmd and PowerShell both take a word in double quotes. PowerShell expands variables in it, so a word that
    has a dollar sign or a backtick is in single quotes, which only PowerShell takes.

    Args:
        text: The word itself.
        platform: The value of ``sys.platform``.
    """
    if platform != "win32":
        import shlex

        return shlex.quote(text)
    if _PLAIN.fullmatch(text):
        return text
    if {"$", "`"} & set(text):
        return "'" + text.replace("'", "''") + "'"
    # A backslash before a quotation mark would make it part of the word.
    return '"' + re.sub(r'(\\*)("|$)', lambda found: found[1] * 2 + ('\\"' if found[2] else ""), text) + '"'
