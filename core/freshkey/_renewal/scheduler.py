"""The one background thread of a keeper: it wakes for renewals that are due, and hears other processes."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Collection
from typing import Protocol

from freshkey import expiry
from freshkey._interprocess.notifier import Stamp
from freshkey._renewal.managed import Holding
from freshkey.clock import Clock
from freshkey.errors import TransientError


log = logging.getLogger("freshkey")

LONGEST_SLEEP = 30.0
"""Seconds between two looks at the clocks: elapsed time may stop in suspend, and wall clocks are moved."""

LISTENING_SLEEP = 1.0
"""Seconds between two looks at the bell while a single-use credential is held: another process's renewal may have
killed this one's."""


class Household(Protocol):
    """What the timer looks after; `Keeper` is it."""

    def holdings(self) -> Collection[Holding]:
        """Return what is held now."""


class Timer:
    """Ticks for every holding of a keeper, on a thread that starts on first need and ends with the keeper.

    Args:
        household: The keeper; referred to weakly, so that one that nobody closed can still be collected.
        clock: Sleeps.
    """

    def __init__(self, household: Household, clock: Clock) -> None:
        self._household = weakref.ref(household)
        self._clock = clock
        self.forget_threads()

    def forget_threads(self) -> None:
        """Start without a thread; a forked child has none."""
        self._event = threading.Event()
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._heard: Stamp | None = None

    def wake(self) -> None:
        """Look again soon: a deadline changed."""
        with self._mutex:
            if self._stopped:
                return
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="freshkey timer", daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    # The interpreter is exiting: callers decide by the clock anyway.
                    return
                self._thread = thread
        self._event.set()

    def stop(self) -> None:
        """End the thread soon."""
        with self._mutex:
            self._stopped = True
        self._event.set()

    def beat(self) -> float | None:
        """Look at everything once; return the seconds until the next look, or None if there is no keeper."""
        household = self._household()
        if household is None or self._stopped:
            return None
        holdings = household.holdings()
        self._listen(holdings)
        longest = LISTENING_SLEEP if any(holding.listens for holding in holdings) else LONGEST_SLEEP
        return expiry.next_wake([holding.tick() for holding in holdings], longest)

    def _listen(self, holdings: Collection[Holding]) -> None:
        """Compare the bell with what was last heard; all profiles of a keeper share one bell."""
        for holding in holdings:
            stamp = holding.desk.bell.stamp()
            if stamp != self._heard:
                self._heard = stamp
                for each in holdings:
                    each.hear()
            return

    def _run(self) -> None:
        while True:
            self._event.clear()
            try:
                wait = self.beat()
            except TransientError as error:
                log.debug("the timer goes on: %s", error)
                wait = LONGEST_SLEEP
            if wait is None:
                return
            self._clock.wait(self._event, wait)
