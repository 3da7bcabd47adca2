"""Whether a keychain asks for its password right now, and whether somebody is there who would answer.

A person needs longer than a keychain. So a call waits longer than usual if both are so: the caller knows of a person,
as during a sign-in, and the keychain shows its window.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from freshkey._forksafe import in_child


UNLOCK_TIMEOUT: Final = 60.0
"""Seconds that somebody gets to unlock a keychain, unless configuration says otherwise."""

_user_present: ContextVar[bool] = ContextVar("freshkey_somebody", default=False)
_shown = threading.Event()


@contextmanager
def user_present(*, there: bool = True) -> Iterator[None]:
    """Say that what is called in this context is on behalf of a person who sits in front of it."""
    token = _user_present.set(there)
    try:
        yield
    finally:
        _user_present.reset(token)


@contextmanager
def shown() -> Iterator[None]:
    """Say that the keychain's window is open, or may be."""
    _shown.set()
    try:
        yield
    finally:
        _shown.clear()


def expected() -> bool:
    """Tell whether it is worth waiting: a window is open, and in this context somebody is there."""
    return _user_present.get() and _shown.is_set()


# No window of a forked child's own is open.
in_child(_shown.clear)
