"""The standard streams: the encoding and line ends of what is written, and whether there is a terminal."""

from __future__ import annotations

import io
import os
import re
import sys
from typing import Final, TextIO


_PTY: Final = re.compile(r"\\(?:cygwin|msys)-[0-9a-f]+-pty[0-9]+-(?:(?:from|to)-master|to-slave)(?:-nat|-cyg)?")
"""The name of a pipe that is a terminal, as Cygwin makes it in ``fhandler_tty.cc``."""

_PIPE: Final = 3
_FILE_NAME_INFO: Final = 2
_NAME_SPACE: Final = 260
"""Characters of a pipe's name that are read; the whole name of one has at most 256."""


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


def is_mintty(stream: TextIO | None) -> bool:
    """Return whether there is a user at the other end of a stream, but no console.

    The terminals of Cygwin and of MSYS, such as Git Bash's, are pipes to programs of Windows, which cannot tell them
    not to show what is typed.
    """
    return stream is not None and _PTY.fullmatch(_pipe_name(stream)) is not None


def in_mintty() -> bool:
    """Return whether the user would get a console by calling this program through winpty."""
    return is_mintty(sys.stdin) or is_mintty(sys.stderr)


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

    def _pipe_name(stream: TextIO) -> str:
        """Return the name of a pipe, which begins with a backslash; empty if it has none, or is something else."""
        import ctypes
        import msvcrt
        from ctypes import wintypes

        class Name(ctypes.Structure):
            """``FILE_NAME_INFO``."""

            _fields_ = (("length", wintypes.DWORD), ("text", wintypes.WCHAR * _NAME_SPACE))

        kernel32 = ctypes.WinDLL("kernel32")
        try:
            handle = wintypes.HANDLE(msvcrt.get_osfhandle(stream.fileno()))
        except (OSError, ValueError):  # it has no file descriptor, or is closed
            return ""
        name = Name()
        if kernel32.GetFileType(handle) != _PIPE or not kernel32.GetFileInformationByHandleEx(
            handle, _FILE_NAME_INFO, ctypes.byref(name), ctypes.sizeof(name)
        ):
            return ""
        text: str = name.text
        return text[: name.length // ctypes.sizeof(wintypes.WCHAR)]

else:

    def _pipe_name(_: TextIO) -> str:
        return ""

    def _is_console(stream: TextIO) -> bool:
        return stream.isatty()
