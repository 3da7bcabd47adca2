"""Splits the command lines that files of Google and AWS contain as the libraries do that run them."""

from __future__ import annotations

import re
import shlex
import sys
from typing import Final


_WINDOWS_WORD: Final = re.compile(r'(?:[^ \t\r"]|"[^"]*(?:"|$))+')


def of_google(command: str) -> list[str]:
    r"""Return a command line as google-auth splits it, at its spaces if it is malformed; Windows paths are left whole.

    google-auth would drop the backslashes of ``C:\tools\print-token.exe``, but Google's libraries for other languages
    do not. If they were doubled for google-auth, they name the same file here.
    """
    try:
        return shlex.split(command.replace("\\", "\\\\") if sys.platform == "win32" else command)
    except ValueError:
        return command.split()


def of_aws(command: str) -> list[str]:
    """Return a command line as botocore splits it; at its spaces if it is malformed."""
    if sys.platform == "win32":  # only double quotes quote there, and a backslash separates the parts of a path
        return [word.replace('"', "") for word in _WINDOWS_WORD.findall(command)]
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()
