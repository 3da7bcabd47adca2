"""Quotes words for commands that the user is told to run: in a shell of POSIX, or in both shells of Windows."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Final


_PLAIN: Final = re.compile(r"[\w+=:./\\-]+")
_SPECIAL: Final = re.compile("([$`\u201c\u201d\u201e])")
"""What PowerShell expands between quotation marks, and what it takes for one."""


def shell_quoted(word: str, *, platform: str | None = None) -> str:
    """Return a word for a command line, in quotation marks if it needs any.

    On Windows, it is safe to paste into cmd.exe and PowerShell: neither takes a part of it for a command. But
    PowerShell before 7.3 loses quotation marks, and cmd.exe keeps the escape of a dollar sign, and puts the value of a
    variable, whatever is in it, in place of ``%NAME%``: nothing escapes that on its command line. Programs read two
    quotation marks in a quotation as one (Microsoft, "Parsing C command-line arguments"; not those from before 2008).

    Args:
        word: The word itself.
        platform: The value of ``sys.platform``; None for that of this process.
    """
    if (platform or sys.platform) != "win32":
        import shlex

        return shlex.quote(word)
    if _PLAIN.fullmatch(word):
        return word
    # To the program, a backslash before a quotation mark would make it part of the word. To both shells, it is no
    # escape: they would take what follows for commands, and a doubled mark they do not.
    text = re.sub(r'(\\*)("|\Z)', lambda found: found[1] * 2 + found[2] * 2, word)
    return '"' + _SPECIAL.sub(r"`\1", text) + '"'


def shell_joined(words: Iterable[str]) -> str:
    """Return a command line of words."""
    return " ".join(map(shell_quoted, words))


def install_command(*requirements: str) -> str:
    """Return the command that installs packages, by the name that Python's installers give it on this system."""
    return f"{'py' if sys.platform == 'win32' else 'python3'} -m pip install {shell_joined(requirements)}"
