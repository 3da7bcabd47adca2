"""The directories of Windows itself, and the variables that name them, whatever the environment says."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from pathlib import Path
from typing import Final


assert sys.platform == "win32"  # noqa: S101  for mypy, which then knows what Windows has


_MAX_PATH: Final = 260


@functools.cache
def system_directory() -> str:
    """Return the path of the directory of system programs."""
    return _directory("GetSystemDirectoryW")


@functools.cache
def start_directories() -> frozenset[Path]:
    """Return the directories in which Windows starts programs that are given none, without links.

    Those are the system's own, in which only administrators can write. That is not so for all that is in them.
    """
    # The last one is where 32-bit programs are led instead; a system without those has none.
    names = ("GetSystemWindowsDirectoryW", "GetSystemDirectoryW", "GetSystemWow64DirectoryW")
    found = [_directory(name, optional=name == names[-1]) for name in names]
    return frozenset(Path(os.path.realpath(path)) for path in found if path)


@functools.cache
def system_variables() -> dict[str, str]:
    """Return the variables that Windows sets to where it is itself, by their names in upper case."""
    # Not that of GetWindowsDirectoryW: users of a terminal server have one of their own.
    windows = _directory("GetSystemWindowsDirectoryW")
    return {
        "COMSPEC": f"{system_directory()}\\cmd.exe",
        "SYSTEMDRIVE": os.path.splitdrive(windows)[0],
        "SYSTEMROOT": windows,
        "WINDIR": windows,
    }


def _directory(function: str, *, optional: bool = False) -> str:
    text = ctypes.create_unicode_buffer(_MAX_PATH)
    if not getattr(ctypes.WinDLL("kernel32", use_last_error=True), function)(text, _MAX_PATH) and not optional:
        raise ctypes.WinError(ctypes.get_last_error())
    return text.value
