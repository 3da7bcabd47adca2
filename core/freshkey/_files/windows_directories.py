"""Creates directories on Windows that the user can use and others cannot, whether or not the process is elevated.

Not by `os.mkdir` with mode 0700: since CPython 3.11.10, 3.12.4 and 3.13 it lets the directory's owner in, who is the
group Administrators if an elevated process creates it, and so locks out the user's other processes for good
(https://github.com/python/cpython/issues/157876).
See docs/decisions.md, "On Windows, a directory is the user's, not its owner's".
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from ctypes import wintypes
from pathlib import Path
from typing import Final

from freshkey._files import windows_home


assert sys.platform == "win32"  # noqa: S101  for mypy, which then knows what Windows has

_REVISION: Final = 1


class _Attributes(ctypes.Structure):
    """SECURITY_ATTRIBUTES."""

    _fields_ = (("length", wintypes.DWORD), ("descriptor", wintypes.LPVOID), ("inherit", wintypes.BOOL))


_kernel32: Final = ctypes.WinDLL("kernel32", use_last_error=True)
_create = _kernel32.CreateDirectoryW
_create.argtypes = (wintypes.LPCWSTR, ctypes.POINTER(_Attributes))
_create.restype = wintypes.BOOL
_free = _kernel32.LocalFree
_free.argtypes = (wintypes.LPVOID,)
_free.restype = wintypes.LPVOID
_parse = ctypes.WinDLL("advapi32", use_last_error=True).ConvertStringSecurityDescriptorToSecurityDescriptorW
_parse.argtypes = (wintypes.LPCWSTR, wintypes.DWORD, ctypes.POINTER(wintypes.LPVOID), wintypes.LPVOID)
_parse.restype = wintypes.BOOL


def create_directory(path: Path) -> None:
    """Create a directory; below the user's profile directory with the access that it inherits, elsewhere for the user.

    Raises:
        OSError: It cannot be created, for example because it exists.
        ValueError: The path contains a null character.
    """
    if _is_in_profile(path):
        path.mkdir()
        return
    sid = windows_home.user_sid()
    if sid is None:  # what the directory would inherit may let all users in
        raise PermissionError(errno.EACCES, "the user's ID is not known", str(path))
    if "\0" in str(path):  # where ctypes would end the path
        raise ValueError("embedded null character")
    sys.audit("os.mkdir", str(path), 0o700, -1)
    descriptor = wintypes.LPVOID()
    if not _parse(access_list(sid), _REVISION, ctypes.byref(descriptor), None):
        raise _error(path)
    try:
        if not _create(str(path), ctypes.byref(_Attributes(ctypes.sizeof(_Attributes), descriptor, False))):
            raise _error(path)
    finally:
        _free(descriptor)


def access_list(sid: str) -> str:
    """Return, in Microsoft's SDDL, full access for a user, SYSTEM and Administrators only; it passes on to all below.

    It inherits nothing: what a drive's root passes on lets all users of the machine in.
    """
    return "D:P" + "".join(f"(A;OICI;FA;;;{who})" for who in ("SY", "BA", sid))


def _is_in_profile(path: Path) -> bool:
    profile = windows_home.profile_directory()
    if profile is None:
        return False
    above = Path(os.path.realpath(path.parent))
    return above.is_relative_to(os.path.realpath(profile))


def _error(path: Path) -> OSError:
    number = ctypes.get_last_error()
    return OSError(None, ctypes.FormatError(number).strip(), str(path), number)
