"""File descriptors that hold kernel locks: closed in a forked child, where they would outlive their process.

A flock(2) lock belongs to the open file description, which a forked child shares: it lasts until every copy of the
descriptor is closed. So a child closes its copies and never unlocks, because that would release the parent's lock.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from freshkey._files.sharing import open_once, opened
from freshkey._forksafe import in_child


_guard = threading.Lock()
_held: set[int] = set()


def open_held(path: Path, flags: int, timeout: float | None = None) -> int:
    """Open a file, created with mode 0600 if `flags` say so, and track the descriptor until `close_held`.

    Args:
        path: The file.
        flags: As for `os.open`.
        timeout: Seconds for which to try again on Windows, if another program has the file open.

    Raises:
        OSError: As `os.open`.
    """

    def attempt() -> int:
        # The guard is held during a fork, so no child inherits a descriptor that is open but not tracked yet. It is
        # not held between two attempts: other profiles' locks are taken and released meanwhile.
        with _guard:
            descriptor = open_once(path, flags, 0o600)
            _held.add(descriptor)
        return descriptor

    return opened(path, attempt, timeout=timeout)


def close_held(descriptor: int) -> None:
    """Close a descriptor that `open_held` returned."""
    with _guard:
        _held.discard(descriptor)
        os.close(descriptor)


def _drop() -> None:
    # Close only: LOCK_UN would release the lock for the parent too, which shares the open file description.
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


in_child(_drop, held=_guard)
