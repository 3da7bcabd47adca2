"""The standard streams: the encoding and line ends of what is written, and whether there is a terminal."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO


def prepare() -> None:
    """Let standard output and error take any text, and what programs read be the same on every platform.

    For pipes and files on Windows, Python would use the user's code page, which lacks most characters, and end lines
    with CR and LF, of which a shell such as WSL's keeps the CR as part of a token. The user's own choice of an
    encoding (``PYTHONIOENCODING``, ``PYTHONUTF8``) stands.
    See docs/decisions.md, "Output is UTF-8 on Windows, too".
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            if sys.platform == "win32" and not is_terminal(stream):
                stream.reconfigure(encoding=None if _encoding_is_chosen() else "utf-8", newline="\n")
            stream.reconfigure(errors="backslashreplace")


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether there is a user at the other end of a stream."""
    if stream is None or not stream.isatty():
        return False
    return sys.platform != "win32" or _is_console(stream)


def _encoding_is_chosen() -> bool:
    chosen = os.environ.get("PYTHONIOENCODING", "").partition(":")[0] or os.environ.get("PYTHONUTF8")
    return bool(chosen) and not sys.flags.ignore_environment


if sys.platform == "win32":

    def _is_console(stream: TextIO) -> bool:
        """Return whether a stream is a console: for Python, every device such as NUL is a terminal there."""
        import ctypes
        import msvcrt
        from ctypes import wintypes

        try:
            handle = msvcrt.get_osfhandle(stream.fileno())
        except (OSError, ValueError):  # it has no file descriptor, or is closed
            return True
        mode = wintypes.DWORD()
        return bool(ctypes.windll.kernel32.GetConsoleMode(wintypes.HANDLE(handle), ctypes.byref(mode)))

else:

    def _is_console(stream: TextIO) -> bool:
        return stream.isatty()
