"""Callers that wait for one profile's running renewal, and when they are told that an attempt failed.

A caller that waits alone gets all attempts. Of several, none is kept for long: they are told when the second attempt
has failed too, or `WAITERS_PATIENCE` after the first one. The renewal continues, and later callers join it.
See docs/decisions.md, "Several waiting callers are told early, one is not".
"""

from __future__ import annotations

import math
from typing import Final

from attrs import define, evolve, field, frozen

from freshkey._renewal.single_flight import SharedFuture
from freshkey.clock import Clock
from freshkey.errors import FreshkeyError, TransientError
from freshkey.model.credential import Credential


WAITERS_PATIENCE: Final = 1.0
"""Seconds for which several callers are kept waiting after the first attempt failed, or for the next one."""


@frozen
class _Retrying:
    """A renewal after one of its attempts failed.

    Attributes:
        error: What the last attempt failed with.
        next_at: When the next one follows, in elapsed seconds.
        tell_at: When callers that wait since the first attempt are told at the latest; infinite once they were told.
        count: Failed attempts so far.
    """

    error: FreshkeyError
    next_at: float
    tell_at: float
    count: int


@define
class Waiters:
    """Callers that wait for one profile's running renewal; used only under the profile's mutex.

    Attributes:
        clock: Provides elapsed time.
        future: What callers wait for now, or None. It differs from what the renewal was started with if callers were
            told meanwhile.
        started: What the renewal was started with, or None.
    """

    clock: Clock
    future: SharedFuture[Credential] | None = field(init=False, default=None)
    started: SharedFuture[Credential] | None = field(init=False, default=None)
    _retrying: _Retrying | None = field(init=False, default=None)

    def begin(self, started: SharedFuture[Credential]) -> SharedFuture[Credential]:
        """Wait for a renewal that was just started."""
        self.future = self.started = started
        self._retrying = None
        return started

    def join(self) -> SharedFuture[Credential] | None:
        """Return the result of the running renewal for another caller; None if none is running."""
        joined, retrying = self.future, self._retrying
        if joined is None or joined.done:
            return None
        pauses = retrying is not None and retrying.next_at - self.clock.elapsed() > WAITERS_PATIENCE
        if pauses and joined.waiting:
            self._tell()
        return joined

    def end(self, started: SharedFuture[Credential]) -> SharedFuture[Credential]:
        """The renewal has ended: return what its callers wait for. No one joins that any more."""
        if self.started is not started:
            return started
        awaited = self.future or started
        self.future = self.started = self._retrying = None
        return awaited

    def note_retry(self, error: FreshkeyError, pause: float) -> None:
        """An attempt failed with `error`, and the next one follows after `pause` seconds."""
        now = self.clock.elapsed()
        count = 1 if self._retrying is None else self._retrying.count + 1
        self._retrying = _Retrying(error, now + pause, now + WAITERS_PATIENCE, count)
        if count > 1 or pause > WAITERS_PATIENCE:
            self._tell_several()

    def tell_late(self) -> float:
        """Tell callers that have waited long enough since the first attempt; return the seconds until then."""
        if self._retrying is None or self._retrying.count > 1:
            return math.inf
        wait = self._retrying.tell_at - self.clock.elapsed()
        if wait <= 0:
            self._tell_several()
        return wait if wait > 0 else math.inf

    def _tell_several(self) -> None:
        if self.future is not None and self.future.waiting > 1:
            self._tell()

    def _tell(self) -> None:
        """Raise the last attempt's error in callers that wait; later callers join the rest of the renewal."""
        told, retrying = self.future, self._retrying
        if told is None or retrying is None:
            return
        error = retrying.error.for_another_caller()
        if isinstance(error, TransientError):
            error.retry_after = max(0.0, retrying.next_at - self.clock.elapsed())
        self.future = SharedFuture()
        self._retrying = evolve(retrying, tell_at=math.inf)  # later callers wait for the next attempt
        told.set_error(error)
