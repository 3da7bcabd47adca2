"""The user and their profile directory as Windows knows them, whatever the environment says."""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import wintypes
from pathlib import Path
from typing import Final


assert sys.platform == "win32"  # noqa: S101  for mypy, which then knows what Windows has


_TOKEN_QUERY: Final = 0x8
_TOKEN_USER: Final = 1
_MAX_PATH: Final = 32_767
"""Longest path in characters."""
_TOKEN_SPACE: Final = 256
"""Bytes: more than a pointer, attributes, and the longest SID, which has 68."""


@functools.cache
def profile_directory() -> Path | None:
    """Return the profile directory; None if this account has none.

    The known folders of the shell would not do: their paths in the registry begin with ``%USERPROFILE%``.
    """
    find = ctypes.WinDLL("userenv").GetUserProfileDirectoryW
    find.argtypes = (wintypes.HANDLE, wintypes.LPWSTR, ctypes.POINTER(wintypes.DWORD))
    with _token() as token:
        found = ctypes.create_unicode_buffer(_MAX_PATH)
        done = token is not None and find(token, found, ctypes.byref(wintypes.DWORD(_MAX_PATH)))
        return Path(found.value) if done else None


@functools.cache
def user_sid() -> str | None:
    """Return the security identifier of the user, such as ``S-1-5-21-…``, who need not own what they create."""
    advapi32, kernel32 = ctypes.WinDLL("advapi32"), ctypes.WinDLL("kernel32")
    ask = advapi32.GetTokenInformation
    ask.argtypes = (wintypes.HANDLE, ctypes.c_int, wintypes.LPVOID, wintypes.DWORD, ctypes.POINTER(wintypes.DWORD))
    as_text = advapi32.ConvertSidToStringSidW
    as_text.argtypes = (wintypes.LPVOID, ctypes.POINTER(wintypes.LPVOID))
    kernel32.LocalFree.argtypes = (wintypes.LPVOID,)
    space = ctypes.create_string_buffer(_TOKEN_SPACE)
    text = wintypes.LPVOID()
    with _token() as token:
        length = wintypes.DWORD()
        if token is None or not ask(token, _TOKEN_USER, space, _TOKEN_SPACE, ctypes.byref(length)):
            return None
    # TOKEN_USER begins with a pointer to the identifier, which is in the same space.
    if not as_text(ctypes.c_void_p.from_buffer(space), ctypes.byref(text)) or text.value is None:
        return None
    try:
        return ctypes.wstring_at(text.value)
    finally:
        kernel32.LocalFree(text)


@contextmanager
def _token() -> Iterator[wintypes.HANDLE | None]:
    """Open the token of this process; None if that fails."""
    kernel32, advapi32 = ctypes.WinDLL("kernel32"), ctypes.WinDLL("advapi32")
    kernel32.GetCurrentProcess.restype = wintypes.HANDLE
    kernel32.CloseHandle.argtypes = (wintypes.HANDLE,)
    advapi32.OpenProcessToken.argtypes = (wintypes.HANDLE, wintypes.DWORD, ctypes.POINTER(wintypes.HANDLE))
    token = wintypes.HANDLE()
    if not advapi32.OpenProcessToken(kernel32.GetCurrentProcess(), _TOKEN_QUERY, ctypes.byref(token)):
        yield None
        return
    try:
        yield token
    finally:
        kernel32.CloseHandle(token)
