"""Says how long something takes, as people do: in one unit, without false precision."""

from __future__ import annotations

import math
from typing import Final


_UNITS: Final = ((3600.0, "h"), (60.0, "min"))
_FROM: Final = 2.0
"""From so many of a unit on, it is used; below that, the next smaller one."""


def duration(seconds: float, *, up: bool = False) -> str:
    """Return a duration in seconds, minutes or hours: ``90 s``, ``7 min``, ``3 h``.

    Args:
        seconds: The duration; a negative one counts as zero.
        up: Round up instead of to the nearest: for how long to wait.
    """
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds >= _FROM * size), (1.0, "s"))
    count = max(0.0, seconds) / size
    return f"{math.ceil(count) if up else round(count)} {unit}"
