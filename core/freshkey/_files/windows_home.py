"""The user's profile directory as Windows knows it, whatever the environment says."""

from __future__ import annotations

import ctypes
import functools
import sys
from ctypes import wintypes
from pathlib import Path
from typing import Final


assert sys.platform == "win32"  # noqa: S101  for mypy, which then knows what Windows has


_TOKEN_QUERY: Final = 0x8
_MAX_PATH: Final = 32_767
"""Longest path in characters."""


@functools.cache
def profile_directory() -> Path | None:
    """Return the profile directory; None if this account has none.

    The known folders of the shell would not do: their paths in the registry begin with ``%USERPROFILE%``.
    """
    kernel32, advapi32, userenv = (ctypes.WinDLL(name) for name in ("kernel32", "advapi32", "userenv"))
    kernel32.GetCurrentProcess.restype = wintypes.HANDLE
    kernel32.CloseHandle.argtypes = (wintypes.HANDLE,)
    advapi32.OpenProcessToken.argtypes = (wintypes.HANDLE, wintypes.DWORD, ctypes.POINTER(wintypes.HANDLE))
    find = userenv.GetUserProfileDirectoryW
    find.argtypes = (wintypes.HANDLE, wintypes.LPWSTR, ctypes.POINTER(wintypes.DWORD))
    token = wintypes.HANDLE()
    if not advapi32.OpenProcessToken(kernel32.GetCurrentProcess(), _TOKEN_QUERY, ctypes.byref(token)):
        return None
    try:
        found = ctypes.create_unicode_buffer(_MAX_PATH)
        return Path(found.value) if find(token, found, ctypes.byref(wintypes.DWORD(_MAX_PATH))) else None
    finally:
        kernel32.CloseHandle(token)
