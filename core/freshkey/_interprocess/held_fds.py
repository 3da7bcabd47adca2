"""File descriptors that hold kernel locks: never left open in a forked child, where they would outlive their process.

A lock of flock(2) belongs to the open file, which a child shares. So the child closes its copies and unlocks nothing,
which would free the parent's lock.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from freshkey._forksafe import in_child


_guard = threading.Lock()
_held: set[int] = set()


def open_held(path: Path, flags: int) -> int:
    """Open a file, mode 0600 if that makes it, and remember the descriptor until `close_held`.

    Raises:
        OSError: As `os.open`.
    """
    with _guard:
        descriptor = os.open(path, flags, 0o600)
        _held.add(descriptor)
    return descriptor


def close_held(descriptor: int) -> None:
    """Close a descriptor of `open_held`."""
    with _guard:
        _held.discard(descriptor)
        os.close(descriptor)


def _drop() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


in_child(_drop, held=_guard)
