"""What a fork waits for, and what its child drops: locks and threads that it would find are the parent's alone.

While code is loaded, CPython holds a lock for each module; a child that is forked then and imports the same module
waits for ever, and nothing that freshkey could do in the child would end that. So a fork waits, bounded, until no
provider and no store is being opened.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final


FORK_TIMEOUT: Final = 2.0
"""Seconds for which a fork waits: opening takes less, unless a plugin hangs."""

_changed = threading.Condition()
_at_work: list[int] = []
_registered: list[tuple[Callable[[], object], threading.Lock | None]] = []


def in_child(drop: Callable[[], object], *, held: threading.Lock | None = None) -> None:
    """Call `drop` in every child that is forked from now on, in the order of registration.

    Args:
        drop: Drops what the child must not use: what belongs to threads and descriptors of its parent.
        held: A lock that is held during the fork, so that `drop` finds nothing half done, and that is free after it.
    """
    _registered.append((drop, held))


@contextmanager
def block_fork() -> Iterator[None]:
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
    try:
        _changed.wait_for(lambda: all(thread == own for thread in _at_work), FORK_TIMEOUT)
    finally:  # the fork comes also after Ctrl-C, and `_release` with it
        for _, held in _registered:
            if held is not None:
                held.acquire()


def _release(*, child: bool) -> None:
    # One that fails keeps none of the others from its turn; the interpreter shows what it raised.
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
