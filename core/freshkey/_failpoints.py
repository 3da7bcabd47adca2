"""Named points at which tests make a renewal fail; they do nothing outside of tests.

===============  =======================================================================================
before_lock      the profile's lock has not been requested yet
lock_held        the lock is held
intent_written   the intent was written and read back
request_sent     from here on the refresh token may be spent
after_refresh    the response was received, and nothing of it is saved yet
item_written     one more item of the new record is written, but not committed
committed        the new record is the newest
read_back        the record was read back, and nothing is published yet
===============  =======================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final


POINTS: Final = (
    "before_lock",
    "lock_held",
    "intent_written",
    "request_sent",
    "after_refresh",
    "item_written",
    "committed",
    "read_back",
)

at: Callable[[str], object] | None = None
"""Set by a test; called with the name of each point that is reached. None costs one comparison."""


def hit(point: str) -> None:
    """Reach a point: call `at` with its name, if set."""
    if at is not None:
        at(point)
