"""A sign that somebody is at work on a state directory, which removing the lock files does not remove.

Whoever holds a profile's lock also holds a shared lock of flock(2) on the state directory and on the directory above
it. Who finds a lock file that nobody has used yet can so wait until all have left who may hold an older one. Windows
needs none of this: it refuses to remove a file that is open.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from freshkey._interprocess.held_fds import close_held, open_held


POLL_INTERVAL: Final = 0.02
TRIES: Final = 5


class DirectoryLock:
    """One holder of a lock in a state directory that exists; makes its sign, as far as directories can be locked."""

    def __init__(self, state_dir: Path) -> None:
        self._descriptors: list[int] = []
        if sys.platform == "win32":
            return
        for directory in (state_dir, state_dir.parent):
            # What cannot be opened or locked adds nothing; the lock file alone excludes while nobody removes it.
            with suppress(OSError):
                self._descriptors.append(open_held(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        for descriptor in self._descriptors:
            _share(descriptor)

    def wait_until_alone(self, timeout: float) -> bool:
        """Wait until nobody else is here, `timeout` seconds at the most; return whether that came about."""
        deadline = time.monotonic() + timeout
        while not all(_alone(descriptor) for descriptor in self._descriptors):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(POLL_INTERVAL, left))
        return True

    def leave(self) -> None:
        """Remove the sign; not in a forked child, which has none."""
        descriptors, self._descriptors = self._descriptors, []
        for descriptor in descriptors:
            # Closing alone would leave the sign to a program that is just being started.
            _flock(descriptor, "LOCK_UN")
            close_held(descriptor)


def _share(descriptor: int) -> None:
    """Make the sign; a program that keeps the directory to itself is not waited for."""
    for _ in range(TRIES):
        if _flock(descriptor, "LOCK_SH"):
            return
        # Somebody may be looking, for a moment, whether they are alone.
        time.sleep(POLL_INTERVAL)


def _alone(descriptor: int) -> bool:
    alone = _flock(descriptor, "LOCK_EX")
    # A conversion that fails may have dropped what was held before, and one that succeeds must keep nobody out.
    _share(descriptor)
    return alone


def _flock(descriptor: int, operation: Literal["LOCK_SH", "LOCK_EX", "LOCK_UN"]) -> bool:
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_NB | getattr(fcntl, operation))
        except BlockingIOError:
            return False
        except OSError:
            # This file system has no such locks: there are no signs on it, and waiting would not end.
            return True
    return True
