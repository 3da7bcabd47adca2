"""Whether a credential is fresh, due or expired, and when to check next: pure arithmetic on clock readings."""

from __future__ import annotations

import enum
import math
from typing import Final

from freshkey.clock import Moment


MAX_LEAD: Final = 300.0
"""Longest default lead: seconds before expiry at which a renewal starts, unless a profile or provider sets it."""

LEAD_SHARE: Final = 0.2
"""A short-lived credential is renewed when this fraction of its lifetime is left."""

MAX_JITTER: Final = 30.0
JITTER_SHARE: Final = 0.05
"""Processes that started together must not renew together: each renews earlier by a random part of this fraction."""

BACKWARDS_TOLERANCE: Final = 60.0
"""How many seconds the wall clock may be behind the time a credential was obtained before it counts as wrong."""


class Freshness(enum.Enum):
    """Whether a credential can be used, and whether it should be renewed."""

    FRESH = "fresh"
    """Use it."""
    DUE = "due"
    """Use it, and renew it."""
    EXPIRED = "expired"
    """Do not use it."""


def default_lead(lifetime: float) -> float:
    """Return how many seconds before expiry a credential with this `lifetime` in seconds is renewed by default."""
    return min(MAX_LEAD, LEAD_SHARE * lifetime)


def effective_lead(lifetime: float, lead: float | None) -> float:
    """Return the lead to use, in seconds.

    An explicit lead is limited to half of the lifetime: with a lead longer than the lifetime, every new credential
    would be due at once. See docs/decisions.md, "An explicit lead takes at most half of a lifetime".
    """
    return default_lead(lifetime) if lead is None else min(max(lead, 0.0), lifetime / 2)


def jitter(lifetime: float, share: float) -> float:
    """Return the seconds by which to renew early: `share` (random, 0 to 1) of the maximum."""
    return share * min(MAX_JITTER, JITTER_SHARE * lifetime)


def seconds_left(obtained: Moment, lifetime: float | None, now: Moment) -> float:
    """Return the seconds until it may no longer be used, negative after that; infinite without a lifetime.

    Within one boot only elapsed time counts, which no one can change. After a reboot, or on another machine, only the
    wall clock can be compared. See docs/decisions.md, "A wall clock that is set forward makes a credential due".
    """
    if lifetime is None:
        return math.inf
    if obtained.boot_id != now.boot_id:
        return obtained.wall + lifetime - now.wall
    return obtained.elapsed + lifetime - now.elapsed


def seconds_left_by_either(obtained: Moment, lifetime: float | None, now: Moment) -> float:
    """Return the seconds until one of the two clocks says that it has ended: from then on a new one is preferred.

    The wall clock may be right where elapsed time is not: a virtual machine that slept may not have counted.
    """
    if lifetime is None:
        return math.inf
    return min(obtained.wall + lifetime - now.wall, seconds_left(obtained, lifetime, now))


def seconds_since(then: Moment, now: Moment) -> float:
    """Return the seconds between two readings, by the wall clock if they belong to different boots."""
    return now.elapsed - then.elapsed if then.boot_id == now.boot_id else now.wall - then.wall


def wall_clock_is_wrong(obtained: Moment, now: Moment) -> bool:
    """Return whether the age of a credential cannot be known because the wall clock is wrong.

    That is the case after a reboot, or on another machine, if the wall clock is earlier than when it was obtained.
    """
    return obtained.boot_id != now.boot_id and now.wall < obtained.wall - BACKWARDS_TOLERANCE


def seconds_until_due(obtained: Moment, lifetime: float | None, early: float, now: Moment) -> float:
    """Return the seconds until a renewal should start, `early` seconds before the end (lead and jitter together).

    Zero or less if it is due, by whichever clock is first (TIM-1).
    """
    if lifetime is not None and wall_clock_is_wrong(obtained, now):
        return 0.0
    return seconds_left_by_either(obtained, lifetime, now) - early


def freshness(obtained: Moment, lifetime: float | None, early: float, now: Moment) -> Freshness:
    """Return whether a credential is fresh, due or expired; the arguments are those of `seconds_until_due`."""
    if seconds_left(obtained, lifetime, now) <= 0:
        return Freshness.EXPIRED
    return Freshness.DUE if seconds_until_due(obtained, lifetime, early, now) <= 0 else Freshness.FRESH


def seconds_until_recheck(obtained: Moment, recheck_after: float | None, now: Moment) -> float:
    """Return the seconds until the source of a credential is checked again; infinite without `recheck_after`."""
    return math.inf if recheck_after is None else recheck_after - seconds_since(obtained, now)


def next_wake(waits: list[float], longest: float) -> float:
    """Return how long the timer may sleep, in seconds: until the earliest of `waits`, but at most `longest`."""
    return max(0.0, min([longest, *waits]))
