"""Work that a fork waits for, because its child would find locks that nobody releases any more.

While code is loaded, CPython holds a lock for each module; a child that is forked then and imports the same module
waits for ever, and nothing that freshkey could do in the child would end that. So a fork waits, bounded, until no
provider and no store is being opened.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final


FORK_TIMEOUT: Final = 2.0
"""Seconds for which a fork waits: opening takes less, unless a plugin hangs."""

_changed = threading.Condition()
_at_work: list[int] = []


@contextmanager
def undivided() -> Iterator[None]:
    """Let no fork come in between, unless this takes too long or forks itself."""
    thread = threading.get_ident()
    with _changed:
        _at_work.append(thread)
    try:
        yield
    finally:
        with _changed:
            _at_work.remove(thread)
            _changed.notify_all()


def _before_fork() -> None:
    # Held until the fork is over, so that nothing begins meanwhile.
    _changed.acquire()
    own = threading.get_ident()
    _changed.wait_for(lambda: all(thread == own for thread in _at_work), FORK_TIMEOUT)


def _after_in_child() -> None:
    own = threading.get_ident()
    _at_work[:] = [thread for thread in _at_work if thread == own]
    _changed.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_changed.release, after_in_child=_after_in_child)
