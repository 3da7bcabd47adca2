"""What renewals know of the hosts they call: one that fails is left alone for a while, by all profiles alike.

Three rules, per host (name and port) and per keeper:

- **Breaker.** After five failures in a row the host is left alone, 5 s at first and up to a minute. Then one request
  goes out as a probe, and the others wait for what becomes of it; one answer ends it all.
- **Budget.** A retry costs 5 of 500, one after a time-out costs 10, and each answer gives 1 back. A host that fails
  every other time is not asked several times as often as a healthy one for long.
- **Retry-After.** What a host asked of one profile holds for all of them (RFC 9110, section 10.2.3).

Only renewals that nobody asked for are held back. What a person does goes out at once, and so does the repetition of a
lost answer, which must not be late: `GuardedCall.forced`.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from attrs import define, evolve, field, frozen

from freshkey._http.messages import Response, retry_after
from freshkey.errors import OutcomeUnknown, TransientError


if TYPE_CHECKING:
    from freshkey.clock import Clock

log = logging.getLogger("freshkey")

FAILURES_TO_OPEN: Final = 5
"""Failures in a row after which a host is left alone."""

MIN_BREAK: Final = 5.0
MAX_BREAK: Final = 60.0
"""Seconds; each probe that fails doubles them."""

PROBE_TIMEOUT: Final = 60.0
"""Seconds after which a probe of which nothing was heard is forgotten; its process may have been forked away."""

POLL_INTERVAL: Final = 1.0
"""Seconds to wait for what becomes of somebody else's probe."""

CAPACITY: Final = 500
RETRY_COST: Final = 5
TIMEOUT_COST: Final = 10
REFUND: Final = 1

_LONG_AGO: Final = -math.inf


class HostPaused(TransientError):
    """Nothing was sent, because the host is left alone for now; trying again before ``retry_after`` is useless."""


@frozen(kw_only=True)
class HostState:
    """How one host is doing; times are elapsed seconds.

    Attributes:
        failures: Failures in a row.
        breaks: How often in a row it was left alone because of them.
        broken_until: It is left alone until then because it failed.
        asked_until: It is left alone until then because it asked for that.
        probed_until: Until then one request is under way whose outcome decides.
        budget: What retries may still cost.
        timed_out: Whether the last failure was a time-out.
    """

    failures: int = 0
    breaks: int = 0
    broken_until: float = _LONG_AGO
    asked_until: float = _LONG_AGO
    probed_until: float = _LONG_AGO
    budget: int = CAPACITY
    timed_out: bool = False

    @property
    def broken(self) -> bool:
        """Whether only one request at a time may find out if it works again."""
        return self.failures >= FAILURES_TO_OPEN

    def wait(self, now: float) -> float:
        """Return the seconds until a request may be sent, 0 if at once."""
        pause = max(self.broken_until, self.asked_until) - now
        if pause > 0:
            return pause
        return POLL_INTERVAL if self.broken and now < self.probed_until else 0.0

    def asked(self, now: float) -> HostState:
        """Note that a request goes out; to a broken host it is the probe."""
        return evolve(self, probed_until=now + PROBE_TIMEOUT) if self.broken else self

    def answered(self) -> HostState:
        """Note that it works. A pause that it asked for still holds."""
        return HostState(asked_until=self.asked_until, budget=min(CAPACITY, self.budget + REFUND))

    def failed(self, now: float, *, retry_after: float | None = None, timed_out: bool = False) -> HostState:
        """Note a failure; of those that were under way together only one makes the break longer."""
        failing = evolve(
            self,
            failures=self.failures + 1,
            probed_until=_LONG_AGO,
            asked_until=max(self.asked_until, now + (retry_after or 0.0)),
            timed_out=timed_out,
        )
        if not failing.broken or now < self.broken_until:
            return failing
        pause = min(MAX_BREAK, MIN_BREAK * 2.0 ** min(self.breaks, 10))
        return evolve(failing, breaks=self.breaks + 1, broken_until=now + pause)

    def undecided(self) -> HostState:
        """Note that a request ended in a way that tells nothing of the host."""
        return evolve(self, probed_until=_LONG_AGO)

    @property
    def price(self) -> int:
        """What a retry costs now."""
        return TIMEOUT_COST if self.timed_out else RETRY_COST

    def charged(self) -> HostState:
        """Take the price of a retry, or what is left of the budget."""
        return evolve(self, budget=max(0, self.budget - self.price))


@define(eq=False)
class CircuitBreaker:
    """The hosts that one keeper's renewals call; thread-safe."""

    clock: Clock
    _hosts: defaultdict[str, HostState] = field(init=False, factory=lambda: defaultdict(HostState))
    _mutex: threading.Lock = field(init=False, factory=threading.Lock)

    def forget_threads(self) -> None:
        """Start with a lock of its own; in a forked child nobody would open the parent's."""
        self._mutex = threading.Lock()

    def state(self, host: str) -> HostState:
        """Return how a host is doing."""
        with self._mutex:
            return self._hosts[host]

    def allow(self, host: str, *, forced: bool = False) -> None:
        """Note that a request goes out.

        Raises:
            HostPaused: The host is left alone for now.
        """
        now = self.clock.now()
        with self._mutex:
            state = self._hosts[host]
            wait = state.wait(now.elapsed)
            if wait <= 0 or forced:
                self._hosts[host] = state.asked(now.elapsed)
                return
        until = datetime.fromtimestamp(now.wall + wait, UTC)
        why = f"it failed {state.failures} times in a row" if state.broken else "it asked for that"
        message = f"{host} is left alone until {until:%H:%M:%S} UTC: {why}"
        raise HostPaused(message, retry_after=wait, hint=f"Try again in {math.ceil(wait)} s")

    def note(self, host: str, answer: Response | Exception, *, timed_out: bool = False) -> None:
        """Note how a request ended."""
        now = self.clock.now()
        with self._mutex:
            before = self._hosts[host]
            if _is_failure(answer):
                asked = retry_after(answer.headers, now.wall) if isinstance(answer, Response) else None
                after = before.failed(now.elapsed, retry_after=asked, timed_out=timed_out)
            elif isinstance(answer, Response):
                after = before.answered()
            else:
                after = before.undecided()
            self._hosts[host] = after
        if after.broken and not before.broken:
            log.warning("%s failed %d times in a row and is left alone for a while", host, after.failures)
        elif before.broken and not after.broken:
            log.warning("%s answers again", host)

    def spend_retry_budget(self, host: str, *, pause: float, forced: bool) -> bool:
        """Pay for a retry after `pause` seconds; return False if it is not to be made.

        One that is `forced` is made in any case, and costs what is there.
        """
        with self._mutex:
            state = self._hosts[host]
            hopeless = state.broken or state.wait(self.clock.elapsed()) > pause or state.budget < state.price
            if hopeless and not forced:
                return False
            self._hosts[host] = state.charged()
            return True


def _is_failure(answer: Response | Exception) -> bool:
    if isinstance(answer, Response):
        return answer.status in {408, 429} or answer.status >= 500  # noqa: PLR2004  RFC 9110, section 15
    return isinstance(answer, TransientError | OutcomeUnknown)


@define
class GuardedCall:
    """One caller's attempts to get an answer, whichever hosts that takes; if `forced`, whatever is known of them."""

    breaker: CircuitBreaker
    forced: bool = False
    _last: str | None = field(init=False, default=None)

    def begin(self, host: str) -> None:
        """Note that a request goes out; raises `HostPaused` as `CircuitBreaker.allow` does."""
        self._last = host
        self.breaker.allow(host, forced=self.forced)

    def end(self, host: str, answer: Response | Exception, *, timed_out: bool) -> None:
        """Note how it ended."""
        self.breaker.note(host, answer, timed_out=timed_out)

    def worth_another(self, pause: float, *, lost_answer: bool) -> bool:
        """Pay for another attempt after `pause` seconds; False says that it is useless.

        One that repeats a request whose answer was lost is due now or never.
        """
        self.forced = self.forced or lost_answer
        return self._last is None or self.breaker.spend_retry_budget(self._last, pause=pause, forced=self.forced)


_CURRENT: ContextVar[GuardedCall | None] = ContextVar("freshkey visit", default=None)


def current() -> GuardedCall | None:
    """Return whose attempts the requests of this thread belong to now; None if nothing holds them back."""
    return _CURRENT.get()


@contextmanager
def guarding(guarded: GuardedCall) -> Iterator[None]:
    """Let the requests that this thread makes meanwhile be part of `guarded`."""
    token = _CURRENT.set(guarded)
    try:
        yield
    finally:
        _CURRENT.reset(token)
