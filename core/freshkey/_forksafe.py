"""Fork safety: what a fork waits for, and which of its parent's locks and threads the child discards.

During an import, CPython holds a lock for the module. A child that is forked at that moment and imports the same module
waits forever, and freshkey cannot do anything about it in the child. So a fork waits, with a timeout, until no provider
and no store is being opened. See docs/decisions.md, "A fork waits for plugin loading".
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final


FORK_TIMEOUT: Final = 2.0
"""How long a fork waits, in seconds: opening takes less, unless a plugin hangs."""

_changed = threading.Condition()
_at_work: list[int] = []
_registered: list[tuple[Callable[[], object], threading.Lock | None]] = []


def in_child(drop: Callable[[], object], *, held: threading.Lock | None = None) -> None:
    """Call `drop` in every child that is forked from now on, in order of registration.

    Args:
        drop: Discards what the child must not use, such as locks, threads and file descriptors of its parent.
        held: A lock to hold during the fork and release after it, so that `drop` never sees a half-finished change.
    """
    _registered.append((drop, held))


@contextmanager
def block_fork() -> Iterator[None]:
    """Delay forks until the block ends, except forks by this thread, and for at most `FORK_TIMEOUT`."""
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
    # Held until the fork is done, so that no `block_fork` begins during it.
    _changed.acquire()
    own = threading.get_ident()
    try:
        _changed.wait_for(lambda: all(thread == own for thread in _at_work), FORK_TIMEOUT)
    finally:  # the fork happens even after Ctrl-C, and `_release` releases these locks
        for _, held in _registered:
            if held is not None:
                held.acquire()


def _release(*, child: bool) -> None:
    # An exit stack runs all callbacks even if one raises; the interpreter prints the exception.
    with ExitStack() as stack:
        stack.callback(_changed.release)
        for drop, held in reversed(_registered):
            if held is not None:
                stack.callback(held.release)
            if child:
                stack.callback(drop)


def _drop() -> None:
    own = threading.get_ident()
    _at_work[:] = [thread for thread in _at_work if thread == own]


in_child(_drop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=functools.partial(_release, child=False),
        after_in_child=functools.partial(_release, child=True),
    )
