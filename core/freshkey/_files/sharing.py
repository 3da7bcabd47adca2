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

DENIED_SECONDS: Final = 0.5
"""Seconds for which opening what Windows calls denied is tried again: so it calls a file that is about to disappear."""

MEMORY_SECONDS: Final = 60.0
"""Seconds for which a file counts as denied: one command opens some files many times."""

PAUSE: Final = 0.005
"""Longest time in seconds between two attempts: readers that come and go leave a file closed for a moment only."""

DENIED: Final = 5
"""ERROR_ACCESS_DENIED: access is not allowed, an open file cannot be replaced, or the file was removed while open."""

BUSY: Final = frozenset({DENIED, 32, 33})
"""It, ERROR_SHARING_VIOLATION and ERROR_LOCK_VIOLATION."""

_denied: dict[Path, float] = {}
"""Until when files count as denied."""


def replace(source: Path, target: Path) -> None:
    """Replace a file atomically by another one of the same directory.

    Raises:
        OSError: It cannot be replaced; both are as they were.
    """
    if sys.platform == "win32":
        from freshkey._files.windows_files import move

        retried(lambda: _unless_directory(target, lambda: move(str(source), str(target), replace=True)))
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

        return opened(Path(path), lambda: open_shared(path))
    return os.open(path, flags)


def open_once(path: Path, flags: int, mode: int) -> int:
    """Open a file as `os.open` does; on Windows, to read and write, and others cannot remove it until it is closed.

    Raises:
        OSError: It cannot be opened; to be tried again by `opened`.
    """
    if sys.platform == "win32":
        from freshkey._files.windows_files import open_undeletable

        return open_undeletable(str(path), flags)
    return os.open(path, flags, mode)


def patiently(action: Callable[[], T]) -> T:
    """Return the result of `action`, which is repeated on Windows while another program has its file open.

    Raises:
        OSError: That of the last attempt.
    """
    return retried(action) if sys.platform == "win32" else action()


def opened(
    path: Path,
    action: Callable[[], T],
    *,
    timeout: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> T:
    """Return the result of `action`, which opens a file, and is repeated on Windows while another program has it open.

    What is denied is so for good, unless the file was removed while it was open, so it is tried again for a shorter
    time, and then not for a minute.

    Args:
        path: The file.
        action: Opens it.
        timeout: Seconds for which to try again at most; `RETRY_SECONDS` by default, and never more.
        clock: Tells the time.
        sleep: Waits.

    Raises:
        OSError: That of the last attempt; `IsADirectoryError` for a directory, which Windows calls denied.
    """
    if sys.platform != "win32":
        return action()
    patience = 0.0 if _denied.get(path, 0.0) > clock() else DENIED_SECONDS

    def attempt() -> T:
        return _unless_directory(path, action)

    try:
        result = retried(attempt, timeout=timeout, if_denied=patience, clock=clock, sleep=sleep)
    except OSError as error:
        if not _is_denied(error):
            _denied.pop(path, None)
        elif patience and (timeout is None or timeout >= patience):
            _remember(path, clock())
        raise
    _denied.pop(path, None)
    return result


def retried(
    action: Callable[[], T],
    *,
    timeout: float | None = None,
    if_denied: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> T:
    """Return the result of `action`; what fails by one of `BUSY` is repeated.

    Args:
        action: What to do.
        timeout: Seconds for which to repeat it; `RETRY_SECONDS` by default, and never more.
        if_denied: The same for what is `DENIED`, counted from the first such answer; `timeout` by default.
        clock: Tells the time.
        sleep: Waits.

    Raises:
        OSError: That of the last attempt.
    """
    deadline = clock() + (RETRY_SECONDS if timeout is None else min(timeout, RETRY_SECONDS))
    denied_until: float | None = None
    while True:
        try:
            return action()
        except OSError as error:
            now, until = clock(), deadline
            if if_denied is not None and _is_denied(error):
                denied_until = now + if_denied if denied_until is None else denied_until
                until = min(deadline, denied_until)
            if not is_busy(error) or now >= until:
                raise
        # At random, lest the attempts fall in step with a reader's.
        sleep(min(random.uniform(0, PAUSE), until - now))  # noqa: S311


def _remember(path: Path, now: float) -> None:
    for known, until in list(_denied.items()):
        if until <= now:
            _denied.pop(known, None)
    _denied[path] = now + MEMORY_SECONDS


def _unless_directory(path: Path, action: Callable[[], T]) -> T:
    """Return the result of `action` about a file; if it is a directory, which Windows calls denied, raise that."""
    try:
        return action()
    except PermissionError:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path)) from None
        raise


def _is_denied(error: OSError) -> bool:
    return getattr(error, "winerror", None) == DENIED


def is_busy(error: OSError) -> bool:
    """Return whether an error may be over as soon as another program closes the file."""
    return error.errno == errno.EACCES and getattr(error, "winerror", None) in BUSY
