"""Reads files that may not be what they should be: regular ones only, of bounded size, and waiting for nobody."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


class NotRegularError(Exception):
    """It is a pipe, a device or a socket."""


class TooLongError(Exception):
    """It has more bytes than the caller takes."""


@contextmanager
def open_regular(
    path: Path, *, follow: bool = True, check: Callable[[os.stat_result], None] | None = None
) -> Iterator[BinaryIO]:
    """Open a regular file to read; the other end of a pipe is not waited for.

    Args:
        path: The file.
        follow: It may be a symbolic link.
        check: Raises what it likes if the opened file has an owner or a mode that it must not have.

    Raises:
        NotRegularError: It is no regular file.
        OSError: It cannot be opened: it is a directory, or a link that is not followed (``ELOOP``), for example.
    """
    extra = getattr(os, "O_NONBLOCK", 0) | (0 if follow else getattr(os, "O_NOFOLLOW", 0))
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | extra)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise NotRegularError
        if check is not None:
            check(status)
        yield file


def read_bounded(
    path: Path, limit: int, *, follow: bool = True, check: Callable[[os.stat_result], None] | None = None
) -> bytes:
    """Return what a regular file holds, `limit` bytes at most. See `open_regular` for the arguments and other errors.

    Raises:
        TooLongError: It holds more.
    """
    with open_regular(path, follow=follow, check=check) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise TooLongError
    return data
