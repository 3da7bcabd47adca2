"""Time as freshkey sees it: the wall clock, elapsed time that counts suspend, and the boot they belong to."""

from __future__ import annotations

import functools
import sys
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from attrs import frozen


if TYPE_CHECKING:
    import threading


@frozen
class Moment:
    """One reading of both clocks.

    Attributes:
        wall: Seconds since 1970-01-01T00:00:00Z by the wall clock, which people and time servers move.
        elapsed: Seconds by a clock that only runs forward and counts suspend; meaningful under one boot id only.
        boot_id: Which boot ``elapsed`` belongs to.
    """

    wall: float
    elapsed: float
    boot_id: str

    @property
    def utc(self) -> datetime:
        """The wall clock as an aware UTC datetime."""
        return datetime.fromtimestamp(self.wall, UTC)


class Clock(Protocol):
    """What the core asks of time; `freshkey_testing.ManualClock` is one that a test moves by hand."""

    def elapsed(self) -> float:
        """Seconds that passed since some fixed point of this boot, suspend included. The hot path reads only this."""

    def now(self) -> Moment:
        """Read both clocks."""

    def wait(self, event: threading.Event, timeout: float) -> bool:
        """Wait until `event` is set or `timeout` seconds have passed; return whether it is set."""


@functools.cache
def _boot_id() -> str:
    """Name this boot, or this process where the system does not tell.

    A per-process id is the safe fallback: elapsed times of other processes are then never compared with ours, and
    the wall clock decides.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return f"process-{uuid.uuid4()}"


class SystemClock:
    """The clocks of this machine."""

    if sys.platform == "win32":
        # GetTickCount64 and QueryPerformanceCounter both go on in sleep.
        elapsed = staticmethod(time.monotonic)
    elif sys.platform == "linux":
        # CLOCK_MONOTONIC stops in suspend (clock_gettime(2)).
        elapsed = staticmethod(functools.partial(time.clock_gettime, time.CLOCK_BOOTTIME))
    else:
        # macOS: it counts sleep, unlike the CLOCK_UPTIME_RAW behind `time.monotonic` (clock_gettime(3) there).
        elapsed = staticmethod(functools.partial(time.clock_gettime, time.CLOCK_MONOTONIC))

    def now(self) -> Moment:
        """Read both clocks."""
        return Moment(time.time(), self.elapsed(), _boot_id())

    def wait(self, event: threading.Event, timeout: float) -> bool:
        """Wait until `event` is set or `timeout` seconds have passed; return whether it is set."""
        return event.wait(timeout)


SYSTEM: Final = SystemClock()
