"""Tracks whether the keychain is showing a password prompt, and whether a user is present to answer it.

Typing a password takes longer than a keychain call. So a call waits longer than usual if both are true: a user is
present, as during a sign-in, and the keychain shows its prompt.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from freshkey._forksafe import in_child


UNLOCK_TIMEOUT: Final = 60.0
"""Default for the seconds that a user has to unlock the keychain."""

_user_present: ContextVar[bool] = ContextVar("freshkey_user_present", default=False)
_shown = threading.Event()


@contextmanager
def user_present(*, there: bool = True) -> Iterator[None]:
    """Mark the calls in this context as made for a user who is present, or not if `there` is False."""
    token = _user_present.set(there)
    try:
        yield
    finally:
        _user_present.reset(token)


@contextmanager
def shown() -> Iterator[None]:
    """Mark the keychain's prompt as open, or possibly open."""
    _shown.set()
    try:
        yield
    finally:
        _shown.clear()


def expected() -> bool:
    """Return whether it is worth waiting: a prompt is open, and a user is present in this context."""
    return _user_present.get() and _shown.is_set()


# The prompt, if any, belongs to the parent.
in_child(_shown.clear)
