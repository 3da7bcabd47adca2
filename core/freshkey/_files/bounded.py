"""Read untrusted files: regular files only, with a size limit, and without blocking on a pipe."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from freshkey._files.sharing import open_to_read


class NotRegularError(Exception):
    """The path is a pipe, a device or a socket."""


class TooLongError(Exception):
    """The file is larger than the limit."""


@contextmanager
def open_regular(
    path: Path, *, follow: bool = True, check: Callable[[os.stat_result], None] | None = None
) -> Iterator[BinaryIO]:
    """Open a regular file for reading, without blocking on a pipe.

    Args:
        path: The file.
        follow: Whether to follow a symbolic link.
        check: Called with the status of the opened file; may raise any exception to refuse its owner or mode.

    Raises:
        NotRegularError: The path is not a regular file.
        OSError: The file cannot be opened, for example a directory, or a link if `follow` is False (``ELOOP``).
    """
    # Without O_NONBLOCK, opening a named pipe blocks until another process opens its other end.
    extra = getattr(os, "O_NONBLOCK", 0) | (0 if follow else getattr(os, "O_NOFOLLOW", 0))
    if sys.platform == "win32" and not follow and path.is_symlink():  # which has no O_NOFOLLOW
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    with open(path, "rb", opener=lambda name, flags: open_to_read(name, flags | extra)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise NotRegularError
        if check is not None:
            check(status)
        yield file


def file_version(*paths: Path) -> str:
    """Return a text that changes when any of the files changes, appears or disappears; reads none of them.

    It names times of change (of the contents, and of owner and mode), size and inode. It is opaque, and compared only
    for equality (`Detected.version`).
    """
    return " ".join(map(_version, paths))


def _version(path: Path) -> str:
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a null character in the path
        return "-"
    # On Windows, `st_ctime` is when the file was created, which tells nothing new, and is deprecated.
    changed = 0 if sys.platform == "win32" else status.st_ctime_ns
    return f"{status.st_mtime_ns:x}.{changed:x}.{status.st_size:x}.{status.st_ino:x}"


def read_bounded(
    path: Path, limit: int, *, follow: bool = True, check: Callable[[os.stat_result], None] | None = None
) -> bytes:
    """Return the content of a regular file, at most `limit` bytes. See `open_regular` for arguments and other errors.

    Raises:
        TooLongError: The file is larger than `limit`.
    """
    with open_regular(path, follow=follow, check=check) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise TooLongError
    return data
