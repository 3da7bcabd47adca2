"""Named points at which tests make a renewal fail; nothing in the product sets them off.

====  =======================================================================================
P1    before the profile's lock is asked for
P2    the lock is held
P3    the intent is written and was read back
P4    the request was sent: from here on the refresh token may be spent
P5    the answer is here, and nothing of it is kept yet
P6    one further item of the new record is written, the commit is not
P7    the commit is written: the new record is the newest
P8    the record was read back, and nothing is published yet
====  =======================================================================================
"""

from __future__ import annotations

from collections.abc import Callable


POINTS = ("P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8")

at: Callable[[str], object] | None = None
"""What a test wants to happen: called with the name of each point as it is passed. None costs one comparison."""


def hit(point: str) -> None:
    """Pass a point."""
    if at is not None:
        at(point)
