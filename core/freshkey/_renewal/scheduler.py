"""The background thread of a keeper: it starts renewals that are due, and notices changes by other processes."""

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


log = logging.getLogger(__name__)

MAX_SLEEP: Final = 30.0
"""Longest sleep in seconds: a sleeping thread may not notice suspend, and the wall clock can be changed."""

LISTENING_SLEEP: Final = 1.0
"""Longest sleep in seconds while another process may end or replace the credential in memory: its renewal of a
single-use sign-in may invalidate this one's access token, and a sign-in comes before some sources."""


class Owner(Protocol):
    """What the timer needs from its owner, the `Keeper`."""

    def all_managed(self) -> Collection[ManagedCredential]:
        """Return all profiles in use."""


class Scheduler:
    """Ticks for every profile of a keeper, on a thread that starts when first needed and ends with the keeper.

    Args:
        owner: The keeper; referenced weakly, so that one that was never closed can still be garbage-collected.
        clock: Measures time, and sleeps.
    """

    def __init__(self, owner: Owner, clock: Clock) -> None:
        self._owner = weakref.ref(owner)
        self._clock = clock
        self.forget_threads()

    def forget_threads(self) -> None:
        """Reset to having no thread; a forked child does not inherit its parent's."""
        self._event = threading.Event()
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._heard: Stamp | None = None

    def wake(self) -> None:
        """Check again now, because a deadline changed; start the thread if needed."""
        with self._mutex:
            if self._stopped:
                return
            if self._thread is None:
                # A daemon, so that a finished program ends; renewals run on threads of their own, which are waited for.
                thread = threading.Thread(target=self._run, name="freshkey timer", daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    # The interpreter is exiting, or out of threads: `get` checks the clock by itself.
                    return
                self._thread = thread
        self._event.set()

    def stop(self) -> None:
        """End the thread soon."""
        with self._mutex:
            self._stopped = True
        self._event.set()

    def run_once(self) -> float | None:
        """Check every profile once; return the seconds until the next check, or None if the keeper is gone."""
        owner = self._owner()
        if owner is None or self._stopped:
            return None
        all_managed = owner.all_managed()
        # All profiles of a keeper share one state directory, and so one notification.
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
                log.debug("the renewal timer continues after: %s [%s]", error, error.code)
                wait = MAX_SLEEP
            if wait is None:
                return
            self._clock.wait(self._event, wait)
