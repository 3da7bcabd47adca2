"""Named points at which tests make a renewal fail; nothing in the product sets them off.

===============  =======================================================================================
before_lock      the profile's lock has not been asked for yet
lock_held        the lock is held
intent_written   the intent is written and was read back
request_sent     from here on the refresh token may be spent
after_refresh    the answer is here, and nothing of it is kept yet
item_written     one further item of the new record is written, the commit is not
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
"""What a test wants to happen: called with the name of each point as it is passed. None costs one comparison."""


def hit(point: str) -> None:
    """Pass a point."""
    if at is not None:
        at(point)
