"""Time: the wall clock, elapsed time that includes suspend, and the boot that the elapsed time belongs to."""

from __future__ import annotations

import functools
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from attrs import frozen


_PIECE: Final = 0.25
"""Seconds after which a signal is handled on Windows while the main thread waits."""


@frozen
class Moment:
    """One reading of both clocks.

    Attributes:
        wall: Seconds since 1970-01-01T00:00:00Z by the wall clock, which users and time servers can change.
        elapsed: Seconds by a clock that only moves forward and includes suspend; comparable only within one boot.
        boot_id: The boot that ``elapsed`` belongs to.
    """

    wall: float
    elapsed: float
    boot_id: str

    @property
    def utc(self) -> datetime:
        """The wall clock as an aware UTC datetime."""
        return datetime.fromtimestamp(self.wall, UTC)


class Clock(Protocol):
    """The clock that the core uses; tests use `freshkey_testing.ManualClock`."""

    def elapsed(self) -> float:
        """Return the seconds since a fixed point of this boot, including suspend; the fast path reads only this."""

    def now(self) -> Moment:
        """Read both clocks."""

    def wait(self, event: threading.Event, timeout: float) -> bool:
        """Wait up to `timeout` seconds for `event`; return whether it is set."""


@functools.cache
def _boot_id() -> str:
    """Return an ID for this boot, or for this process if the system has no boot ID.

    A per-process ID is the safe fallback: elapsed times of other processes are then never compared with ours, and
    the wall clock decides.
    """
    if sys.platform == "win32":  # where anyone may make a `\proc` on the drive of the working directory
        return f"process-{uuid.uuid4()}"
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return f"process-{uuid.uuid4()}"


class SystemClock:
    """The clocks of this machine."""

    if sys.platform == "win32":
        # GetTickCount64 and QueryPerformanceCounter both include sleep.
        elapsed = staticmethod(time.monotonic)
    elif sys.platform == "linux":
        # CLOCK_MONOTONIC stops in suspend (clock_gettime(2)).
        elapsed = staticmethod(functools.partial(time.clock_gettime, time.CLOCK_BOOTTIME))
    else:
        # macOS: includes sleep, unlike CLOCK_UPTIME_RAW, which `time.monotonic` uses (see clock_gettime(3) there).
        elapsed = staticmethod(functools.partial(time.clock_gettime, time.CLOCK_MONOTONIC))

    def now(self) -> Moment:
        """Read both clocks."""
        return Moment(time.time(), self.elapsed(), _boot_id())

    def wait(self, event: threading.Event, timeout: float) -> bool:
        """Wait up to `timeout` seconds for `event`; return whether it is set."""
        return interruptible(event.wait, timeout)


def interruptible(wait: Callable[[float], bool], timeout: float) -> bool:
    """Wait such that Ctrl-C ends the wait; return what `wait` returned last.

    On Windows, a signal interrupts no wait for a lock, an event or a thread: Python handles it after the wait, which
    for a sign-in is after minutes. So there the main thread, which is the one that handles signals, waits in pieces.
    Every wait that it can meet and that can take more than a second goes through this.

    Args:
        wait: Waits for the given number of seconds and returns whether that was long enough.
        timeout: How many seconds to wait in total.
    """
    if sys.platform == "win32" and threading.current_thread() is threading.main_thread():
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > _PIECE:
            if wait(_PIECE):
                return True
        return wait(max(0.0, left))
    return wait(timeout)


SYSTEM: Final = SystemClock()
