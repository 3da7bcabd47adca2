"""A clock that moves only when a test moves it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from freshkey import Moment


if TYPE_CHECKING:
    from collections.abc import Callable

NEW_YEAR_2026: Final = 1_767_225_600.0
"""2026-01-01T00:00:00Z, the default start of a manual clock."""

_POLL_INTERVAL: Final = 0.002
"""Real seconds between two checks of the manual time by a waiting thread, which cannot wait for two events at once."""

_WAIT_TIMEOUT: Final = 10.0
"""Real seconds before a test that waits for threads gives up."""


class ManualClock:
    """Implements `freshkey.clock.Clock`; thread-safe.

    Threads in `wait` sleep until their event is set or a test has moved the clock far enough. A test never needs to
    sleep: `wait_until_waiting` returns when threads have reached `wait`, and `advance` returns once every thread whose
    timeout has passed is running again.

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
        """Seconds of elapsed time, including time spent suspended."""
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
        """Let time pass: both clocks move, and threads whose timeout has passed leave `wait` before this returns.

        Raises:
            ValueError: `seconds` is negative; to set the wall clock back, use `step_wall`.
        """
        if seconds < 0:
            raise ValueError(
                f"cannot advance by {seconds} s: elapsed time never goes back; use step_wall() for the wall clock"
            )
        with self._changed:
            self._wall += seconds
            self._elapsed += seconds
            self._awake += seconds
            due = {waiter for waiter, deadline in self._deadlines.items() if deadline <= self._awake}
        self._until(lambda: due.isdisjoint(self._deadlines), "threads whose timeout had passed did not wake up")

    def step_wall(self, seconds: float) -> None:
        """Step only the wall clock, forward or back, as a user or a time server does."""
        with self._changed:
            self._wall += seconds

    def suspend(self, seconds: float) -> None:
        """Put the machine to sleep: both clocks move, but waiting threads do not notice that time has passed.

        That is how Linux behaves: waits run on CLOCK_MONOTONIC, which stops during suspend (clock_gettime(2)).
        """
        with self._changed:
            self._wall += seconds
            self._elapsed += seconds

    def reboot(self, off: float = 0.0) -> None:
        """Reboot the machine after `off` seconds: the boot id changes, and elapsed time starts over."""
        with self._changed:
            self._boot += 1
            self._wall += off
            self._elapsed = 1.0

    def waiters(self) -> tuple[float, ...]:
        """Return the manual seconds left for each waiting thread, shortest first."""
        with self._changed:
            return tuple(sorted(deadline - self._awake for deadline in self._deadlines.values()))

    def wait_until_waiting(self, count: int = 1) -> tuple[float, ...]:
        """Block until at least `count` threads are in `wait`, then return the same as `waiters`.

        Raises:
            TimeoutError: Fewer threads were waiting after ten real seconds.
        """
        self._until(lambda: len(self._deadlines) >= count, f"fewer than {count} threads started to wait")
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
