"""A clock that only moves when a test moves it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from freshkey import Moment


if TYPE_CHECKING:
    from collections.abc import Callable

NEW_YEAR_2026: Final = 1_767_225_600.0
"""2026-01-01T00:00:00Z, where a manual clock starts unless told otherwise."""

_POLL_INTERVAL: Final = 0.002
"""Real seconds between two looks of a waiting thread at the manual time: an Event can only be waited for alone."""

_WAIT_TIMEOUT: Final = 10.0
"""Real seconds until a test that waits for threads is told that they never came."""


class ManualClock:
    """Implements `freshkey.clock.Clock`; thread-safe.

    Threads in `wait` sleep until their event is set or a test has moved the clock far enough. A test needs no sleep
    of its own: `wait_until_waiting` tells when threads have come to rest, and `advance` returns once every thread
    whose time has come is on its way again.

    Args:
        wall: Seconds since 1970-01-01T00:00:00Z at the start.
        elapsed: Seconds of elapsed time at the start.
    """

    def __init__(self, wall: float = NEW_YEAR_2026, elapsed: float = 1000.0) -> None:
        self._changed = threading.Condition()
        self._wall = wall
        self._elapsed = elapsed
        self._boot = 1
        self._awake = 0.0
        self._deadlines: dict[object, float] = {}

    def elapsed(self) -> float:
        """Seconds of elapsed time, suspend included."""
        with self._changed:
            return self._elapsed

    def now(self) -> Moment:
        """Read both clocks."""
        with self._changed:
            return Moment(self._wall, self._elapsed, f"manual-boot-{self._boot}")

    def wait(self, event: threading.Event, timeout: float) -> bool:
        """Wait until `event` is set or `timeout` manual seconds have passed; return whether it is set."""
        waiter = object()
        with self._changed:
            deadline = self._deadlines[waiter] = self._awake + timeout
            self._changed.notify_all()
        try:
            while not event.wait(_POLL_INTERVAL) and not self._reached(deadline):
                pass
        finally:
            with self._changed:
                del self._deadlines[waiter]
                self._changed.notify_all()
        return event.is_set()

    def advance(self, seconds: float) -> None:
        """Let time pass: both clocks move, and threads whose time has come leave `wait` before this returns.

        Raises:
            ValueError: `seconds` is negative; time only runs forward (see `step_wall`).
        """
        if seconds < 0:
            raise ValueError(f"time only runs forward: cannot advance by {seconds} s; step_wall() sets the wall clock")
        with self._changed:
            self._wall += seconds
            self._elapsed += seconds
            self._awake += seconds
            due = {waiter for waiter, deadline in self._deadlines.items() if deadline <= self._awake}
        self._until(lambda: due.isdisjoint(self._deadlines), "threads that were due did not wake")

    def step_wall(self, seconds: float) -> None:
        """Step the wall clock alone, forward or back, as a person or a time server does."""
        with self._changed:
            self._wall += seconds

    def suspend(self, seconds: float) -> None:
        """Put the machine to sleep: both clocks move, but no waiting thread notices that time has passed.

        That is what Linux does: waits run on CLOCK_MONOTONIC, which stops in suspend (clock_gettime(2)).
        """
        with self._changed:
            self._wall += seconds
            self._elapsed += seconds

    def reboot(self, off: float = 0.0) -> None:
        """Start the machine anew after `off` seconds: another boot id, and elapsed time starts again."""
        with self._changed:
            self._boot += 1
            self._wall += off
            self._elapsed = 1.0

    def waiters(self) -> tuple[float, ...]:
        """Return how many manual seconds each waiting thread still has to wait, shortest first."""
        with self._changed:
            return tuple(sorted(deadline - self._awake for deadline in self._deadlines.values()))

    def wait_until_waiting(self, count: int = 1) -> tuple[float, ...]:
        """Block until at least `count` threads are in `wait`, and return what `waiters` does.

        Raises:
            TimeoutError: They did not come within ten real seconds.
        """
        self._until(lambda: len(self._deadlines) >= count, f"fewer than {count} threads came to wait")
        return self.waiters()

    def _reached(self, deadline: float) -> bool:
        with self._changed:
            return deadline <= self._awake

    def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        end = time.monotonic() + _WAIT_TIMEOUT
        with self._changed:
            while not condition():
                if not self._changed.wait(end - time.monotonic()):
                    raise TimeoutError(f"{otherwise} within {_WAIT_TIMEOUT:.0f} s")
