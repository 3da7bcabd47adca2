"""Files that another program has open: on Windows, that keeps them from being opened, replaced or removed for a moment.

A reader, an antivirus program or an indexer does not let others replace or remove what it has open, unless it says so
(FILE_SHARE_DELETE). None of them takes long. So what Windows refuses for that reason is tried again for some seconds,
and freshkey opens its files such that they can be replaced meanwhile. Other systems do not have the problem.
See docs/decisions.md, "On Windows, a file that is open elsewhere is tried again".
"""

from __future__ import annotations

import errno
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar


T = TypeVar("T")

RETRY_SECONDS: Final = 5.0
"""Seconds for which something is tried again."""

PAUSE: Final = 0.005
"""Longest time in seconds between two attempts: readers that come and go leave a file closed for a moment only."""

BUSY: Final = frozenset({5, 32, 33})
"""ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION and ERROR_LOCK_VIOLATION.

The first also means that access is not allowed, which only time tells apart: Windows reports it for replacing an open
file, and for opening one that was removed while it was open.
"""


def replace(source: Path, target: Path) -> None:
    """Replace a file atomically by another one of the same directory.

    Raises:
        OSError: It cannot be replaced; both are as they were.
    """
    if sys.platform == "win32":
        from freshkey._files.windows_files import move

        _retried_for_file(target, lambda: move(str(source), str(target), replace=True))
    else:
        source.replace(target)


def remove(path: Path) -> None:
    """Remove a file, if it exists.

    Raises:
        OSError: It cannot be removed.
    """
    patiently(lambda: path.unlink(missing_ok=True))


def open_to_read(path: str, flags: int) -> int:
    """Open a file for reading, as `os.open` with `flags` does, and return the descriptor.

    Raises:
        OSError: It cannot be opened, as if it is a directory on Windows.
    """
    if sys.platform == "win32":
        from freshkey._files.windows_files import open_shared

        return _retried_for_file(Path(path), lambda: open_shared(path))
    return os.open(path, flags)


def open_file(path: Path, flags: int, mode: int) -> int:
    """Open a file as `os.open` does; on Windows, others cannot replace or remove it until it is closed.

    Raises:
        OSError: It cannot be opened.
    """
    if sys.platform == "win32":
        return _retried_for_file(path, lambda: os.open(path, flags, mode))
    return os.open(path, flags, mode)


def patiently(action: Callable[[], T]) -> T:
    """Return the result of `action`, which is repeated on Windows while another program has its file open.

    Raises:
        OSError: That of the last attempt.
    """
    return retried(action) if sys.platform == "win32" else action()


def retried(
    action: Callable[[], T],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> T:
    """Return the result of `action`; what fails by one of `BUSY` is repeated for `RETRY_SECONDS` seconds."""
    deadline = clock() + RETRY_SECONDS
    while True:
        try:
            return action()
        except OSError as error:
            if not is_busy(error) or clock() >= deadline:
                raise
        # At random, lest the attempts fall in step with a reader's.
        sleep(random.uniform(0, PAUSE))  # noqa: S311


def _retried_for_file(path: Path, action: Callable[[], T]) -> T:
    """Return the result of `action` about a file; if it is a directory, which Windows calls denied, raise that."""

    def attempt() -> T:
        try:
            return action()
        except PermissionError:
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path)) from None
            raise

    return retried(attempt)


def is_busy(error: OSError) -> bool:
    """Return whether an error may be over as soon as another program closes the file."""
    if error.errno != errno.EACCES:
        return False
    # The C runtime, by which `os.open` opens, tells no more than EACCES.
    number = getattr(error, "winerror", None)
    return number is None or number in BUSY
