"""A marker that a state directory is in use, which survives if the lock files are deleted.

The holder of a profile's lock also holds a shared flock(2) lock on the state directory and on its parent, or on a file
next to the state directory. A process that finds an unused lock file can therefore wait until every possible holder of
a deleted one has finished. Windows does not need this: it refuses to delete a file that is open.

Whoever can open a file or directory for reading can lock it, and keep everyone else waiting. So only what no other user
can open is locked: the state directory is private, and where its parent is not, a private file stands for it.
See docs/decisions.md, "Nothing is locked that another user can open".
"""

from __future__ import annotations

import os
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from freshkey._files.permissions import has_mode, is_anothers
from freshkey._files.private import NO_FOLLOW
from freshkey._interprocess.held_fds import close_held, open_held


POLL_INTERVAL: Final = 0.02
TRIES: Final = 5
_DIRECTORY: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)


class DirectoryLock:
    """Marks an existing state directory as in use, where its file system can lock directories."""

    def __init__(self, state_dir: Path) -> None:
        self._descriptors: list[int] = []
        if sys.platform == "win32":
            return
        beside = state_dir.with_name(f".{state_dir.name}.freshkey.lock")
        # Best effort: without these markers the lock file still excludes others, as long as no one deletes it.
        inside = _opened(state_dir, _DIRECTORY)
        above = _opened(state_dir.parent, _DIRECTORY) or _opened(beside, os.O_RDWR | os.O_CREAT | NO_FOLLOW)
        self._descriptors += [*inside, *above]
        for descriptor in self._descriptors:
            _share(descriptor)

    def wait_until_alone(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds until no other process uses the directory; return whether none does."""
        deadline = time.monotonic() + timeout
        while not all(_alone(descriptor) for descriptor in self._descriptors):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(POLL_INTERVAL, left))
        return True

    def leave(self) -> None:
        """Remove the marker; never call this in a forked child."""
        descriptors, self._descriptors = self._descriptors, []
        for descriptor in descriptors:
            # Unlock before closing: a child between fork and exec still has a copy, which would keep the lock.
            _flock(descriptor, "LOCK_UN")
            close_held(descriptor)


def _opened(path: Path, flags: int) -> list[int]:
    """Return a descriptor of a directory or regular file that no other user can open; none if others can."""
    with suppress(OSError):
        descriptor = open_held(path, flags)
        status = os.fstat(descriptor)
        proper = stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink == 1)
        if proper and not is_anothers(status) and not has_mode(status, 0o066):
            return [descriptor]
        close_held(descriptor)
    return []


def _share(descriptor: int) -> None:
    """Set the marker; give up after a few tries if a foreign program keeps the directory locked."""
    for _ in range(TRIES):
        if _flock(descriptor, "LOCK_SH"):
            return
        # Another process may hold the exclusive lock for a moment, in `_alone`.
        time.sleep(POLL_INTERVAL)


def _alone(descriptor: int) -> bool:
    alone = _flock(descriptor, "LOCK_EX")
    # A failed conversion may have dropped the shared lock (flock(2)); a successful one must not block other processes.
    _share(descriptor)
    return alone


def _flock(descriptor: int, operation: Literal["LOCK_SH", "LOCK_EX", "LOCK_UN"]) -> bool:
    if sys.platform != "win32":
        import fcntl

        try:
            # Not lockf: directories cannot be opened for writing, which its exclusive locks require, and closing any
            # other descriptor of the same file would release them (fcntl_locking(2)).
            fcntl.flock(descriptor, fcntl.LOCK_NB | getattr(fcntl, operation))
        except BlockingIOError:
            return False
        except OSError:
            # This file system does not support flock: there are no markers to wait for, so do not wait forever.
            return True
    return True
