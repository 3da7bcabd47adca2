"""The one background thread of a keeper: it wakes for renewals that are due, and hears other processes."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Collection
from typing import Final, Protocol

from freshkey import expiry
from freshkey._interprocess.notifier import Stamp
from freshkey._renewal.managed import ManagedCredential
from freshkey.clock import Clock
from freshkey.errors import TransientError


log = logging.getLogger("freshkey")

MAX_SLEEP: Final = 30.0
"""Seconds between two looks at the clocks: elapsed time may stop in suspend, and wall clocks are moved."""

LISTENING_SLEEP: Final = 1.0
"""Seconds between two looks for changes while a single-use credential is held: another process's renewal may have
killed this one's."""


class Owner(Protocol):
    """What the timer looks after; `Keeper` is it."""

    def all_managed(self) -> Collection[ManagedCredential]:
        """Return what is held now."""


class Scheduler:
    """Ticks for every profile of a keeper, on a thread that starts on first need and ends with the keeper.

    Args:
        owner: The keeper; referred to weakly, so that one that nobody closed can still be collected.
        clock: Sleeps.
    """

    def __init__(self, owner: Owner, clock: Clock) -> None:
        self._owner = weakref.ref(owner)
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

    def run_once(self) -> float | None:
        """Look at everything once; return the seconds until the next look, or None if there is no keeper."""
        owner = self._owner()
        if owner is None or self._stopped:
            return None
        all_managed = owner.all_managed()
        # All profiles of a keeper share one notification.
        stamp = next((managed.context.notifier.stamp() for managed in all_managed), self._heard)
        if stamp != self._heard:
            self._heard = stamp
            for managed in all_managed:
                managed.on_change()
        longest = LISTENING_SLEEP if any(managed.wants_changes for managed in all_managed) else MAX_SLEEP
        return expiry.next_wake([managed.tick() for managed in all_managed], longest)

    def _run(self) -> None:
        while True:
            self._event.clear()
            try:
                wait = self.run_once()
            except TransientError as error:
                log.debug("the timer goes on: %s", error)
                wait = MAX_SLEEP
            if wait is None:
                return
            self._clock.wait(self._event, wait)
