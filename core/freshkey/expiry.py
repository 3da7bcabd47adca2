"""When a credential is fresh, due or expired, and when to look next: pure arithmetic on readings of the clocks."""

from __future__ import annotations

import enum
import math
from typing import Final

from freshkey.clock import Moment


MAX_LEAD: Final = 300.0
"""Seconds before expiry at which a renewal starts at the earliest, unless a provider or profile says otherwise."""

LEAD_SHARE: Final = 0.2
"""A short-lived credential is renewed when this share of its lifetime is left."""

MAX_JITTER: Final = 30.0
JITTER_SHARE: Final = 0.05
"""A fleet that started together must not renew together: each takes a random part of this off its waiting time."""

BACKWARDS_TOLERANCE: Final = 60.0
"""Seconds by which the wall clock may lie before the moment of obtaining until it counts as wrong."""


class Freshness(enum.Enum):
    """What to do with a credential now."""

    FRESH = "fresh"
    """Use it."""
    DUE = "due"
    """Use it, and renew it."""
    EXPIRED = "expired"
    """Do not use it."""


def default_lead(lifetime: float) -> float:
    """Return how many seconds before its end a credential of `lifetime` seconds is renewed by default."""
    return min(MAX_LEAD, LEAD_SHARE * lifetime)


def effective_lead(lifetime: float, lead: float | None) -> float:
    """Return the lead to use, in seconds.

    An explicit lead never takes more than half of the lifetime: a lead that is longer than the credential lives
    would make every new credential due at once.
    """
    return default_lead(lifetime) if lead is None else min(max(lead, 0.0), lifetime / 2)


def jitter(lifetime: float, share: float) -> float:
    """Return the seconds to renew early, `share` (0 to 1, random) of the most that is allowed."""
    return share * min(MAX_JITTER, JITTER_SHARE * lifetime)


def seconds_left(obtained: Moment, lifetime: float | None, now: Moment) -> float:
    """Return the seconds until the hard end (negative once it has passed), infinite without one.

    Both clocks are asked and the earlier end counts: the wall clock may have been set back, and elapsed time means
    nothing after a reboot.
    """
    if lifetime is None:
        return math.inf
    by_wall = obtained.wall + lifetime - now.wall
    if obtained.boot_id != now.boot_id:
        return by_wall
    return min(by_wall, obtained.elapsed + lifetime - now.elapsed)


def seconds_since(then: Moment, now: Moment) -> float:
    """Return the seconds from one reading to another; by the wall clock if they belong to different boots."""
    return now.elapsed - then.elapsed if then.boot_id == now.boot_id else now.wall - then.wall


def surely_expired(obtained: Moment, lifetime: float | None, now: Moment) -> bool:
    """Tell whether the end has passed by the clock that nobody moves; the wall clock decides only after a reboot."""
    if lifetime is not None and obtained.boot_id == now.boot_id:
        return now.elapsed >= obtained.elapsed + lifetime
    return seconds_left(obtained, lifetime, now) <= 0


def wall_clock_is_wrong(obtained: Moment, now: Moment) -> bool:
    """Tell whether only a wrong wall clock could say how old a credential is.

    That is so after a reboot (or on another machine) when the wall clock reads earlier than the moment of obtaining.
    """
    return obtained.boot_id != now.boot_id and now.wall < obtained.wall - BACKWARDS_TOLERANCE


def seconds_until_due(obtained: Moment, lifetime: float | None, early: float, now: Moment) -> float:
    """Return the seconds until a renewal should start, `early` seconds before the end (lead and jitter together).

    Zero or less when it is due.
    """
    if lifetime is not None and wall_clock_is_wrong(obtained, now):
        return 0.0
    return seconds_left(obtained, lifetime, now) - early


def freshness(obtained: Moment, lifetime: float | None, early: float, now: Moment) -> Freshness:
    """Decide what to do with a credential now; the arguments are those of `seconds_until_due`."""
    if seconds_left(obtained, lifetime, now) <= 0:
        return Freshness.EXPIRED
    return Freshness.DUE if seconds_until_due(obtained, lifetime, early, now) <= 0 else Freshness.FRESH


def seconds_until_recheck(obtained: Moment, recheck_after: float | None, now: Moment) -> float:
    """Return the seconds until the source of a credential is asked again though it has no end; infinite without."""
    return math.inf if recheck_after is None else recheck_after - seconds_since(obtained, now)


def next_wake(waits: list[float], longest: float) -> float:
    """Return how long the timer may sleep, in seconds: until the earliest of `waits`, `longest` at the most."""
    return max(0.0, min([longest, *waits]))
