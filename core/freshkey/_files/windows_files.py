"""Opens and moves files on Windows as Python does not: open ones can be replaced, and a move is on the disk."""

from __future__ import annotations

import ctypes
import msvcrt
import os
import struct
import sys
from ctypes import wintypes
from typing import Final


assert sys.platform == "win32"  # noqa: S101  for mypy, which then knows what Windows has

_GENERIC_READ: Final = 0x8000_0000
_GENERIC_WRITE: Final = 0x4000_0000
_SHARE_ALL: Final = 0x7
"""FILE_SHARE_READ, FILE_SHARE_WRITE, and FILE_SHARE_DELETE, which Python leaves out."""

_SHARE_CONTENT: Final = 0x3
"""FILE_SHARE_READ and FILE_SHARE_WRITE, as Python shares files."""

_DELETE: Final = 0x1_0000
_OPEN_EXISTING: Final = 3
_OPEN_ALWAYS: Final = 4
_NORMAL: Final = 0x80
_WRITE_THROUGH_FLAG: Final = 0x8000_0000
_RENAME_INFO_EX: Final = 22
_REPLACE_IF_EXISTS: Final = 0x1
_POSIX_SEMANTICS: Final = 0x2
_REPLACE: Final = 0x1
_WRITE_THROUGH: Final = 0x8
_INVALID: Final = ctypes.c_void_p(-1).value

_kernel32: Final = ctypes.WinDLL("kernel32", use_last_error=True)
_create = _kernel32.CreateFileW
_create.restype = wintypes.HANDLE
_create.argtypes = (
    *(wintypes.LPCWSTR, wintypes.DWORD, wintypes.DWORD, wintypes.LPVOID, wintypes.DWORD, wintypes.DWORD),
    wintypes.HANDLE,
)
_set_information = _kernel32.SetFileInformationByHandle
_set_information.argtypes = (wintypes.HANDLE, ctypes.c_int, ctypes.c_char_p, wintypes.DWORD)
_set_information.restype = wintypes.BOOL
_close = _kernel32.CloseHandle
_close.argtypes = (wintypes.HANDLE,)
_move = _kernel32.MoveFileExW
_move.argtypes = (wintypes.LPCWSTR, wintypes.LPCWSTR, wintypes.DWORD)
_move.restype = wintypes.BOOL


def open_shared(path: str) -> int:
    """Open a file for reading, and let others replace and remove it meanwhile; child processes do not inherit it.

    Raises:
        OSError: It cannot be opened; `OSError.winerror` is set.
        ValueError: The path contains a null character.
    """
    handle = _create(_checked(path), _GENERIC_READ, _SHARE_ALL, None, _OPEN_EXISTING, _NORMAL, None)
    return _descriptor(path, handle, os.O_RDONLY)


def open_undeletable(path: str, flags: int) -> int:
    """Open a file for reading and writing as `os.open` does, whose errors do not tell denial from a sharing violation.

    Until it is closed, others cannot replace or remove it; child processes do not inherit it.

    Args:
        path: The file.
        flags: Those for `os.open`, of which O_CREAT counts.

    Raises:
        OSError: It cannot be opened; `OSError.winerror` is set.
        ValueError: The path contains a null character.
    """
    sys.audit("open", path, None, flags)
    how = _OPEN_ALWAYS if flags & os.O_CREAT else _OPEN_EXISTING
    handle = _create(_checked(path), _GENERIC_READ | _GENERIC_WRITE, _SHARE_CONTENT, None, how, _NORMAL, None)
    return _descriptor(path, handle, os.O_RDWR)


def _descriptor(path: str, handle: int, mode: int) -> int:
    """Return the descriptor for the handle that CreateFileW has just returned; the handle is closed with it."""
    if handle == _INVALID:
        raise _error(path)
    try:
        return msvcrt.open_osfhandle(handle, mode | os.O_BINARY | os.O_NOINHERIT)
    except BaseException:
        _close(handle)
        raise


def move(source: str, target: str, *, replace: bool) -> None:
    """Move a file within a volume; when this returns, that is on the disk.

    Where the file system can (NTFS since Windows 10, version 1607), a target is replaced although it is open, if it was
    opened by `open_shared`.

    Raises:
        OSError: It cannot be moved, for example because there is a target and `replace` is False.
        ValueError: A path contains a null character.
    """
    if replace and _replace_open(_checked(source), _checked(target)):
        return
    if not _move(_checked(source), _checked(target), _WRITE_THROUGH | (_REPLACE if replace else 0)):
        raise _error(target)


def _replace_open(source: str, target: str) -> bool:
    """Replace a file although it is open, and return whether that worked; if not, nothing was changed."""
    handle = _create(source, _DELETE, _SHARE_ALL, None, _OPEN_EXISTING, _WRITE_THROUGH_FLAG, None)
    if handle == _INVALID:
        return False
    try:
        name = os.path.abspath(target).encode("utf-16-le")  # noqa: PTH100
        # FILE_RENAME_INFO: flags, no directory that the name is relative to, its length in bytes, and the name.
        info = struct.pack("@IPI", _REPLACE_IF_EXISTS | _POSIX_SEMANTICS, 0, len(name)) + name + bytes(4)
        return bool(_set_information(handle, _RENAME_INFO_EX, info, len(info)))
    finally:
        _close(handle)


def _checked(path: str) -> str:
    # ctypes would end the path there.
    if "\0" in path:
        raise ValueError("embedded null character")
    return path


def _error(path: str) -> OSError:
    number = ctypes.get_last_error()
    return OSError(None, ctypes.FormatError(number).strip(), path, number)
