"""Circuit breaker for renewals: pauses requests to a failing host, across all profiles.

Four rules, per host (name and port) and per keeper:

- **Breaker.** After five consecutive failures, requests to the host are paused, for 5 s at first and up to a minute.
  Then one request goes out as a probe while the others wait for its result. A response closes the breaker, unless
  another request of the same call to that host fails.
- **Budget.** A retry costs 5 out of 500, a retry after a timeout costs 10, and each response refunds 1. This way a
  host that fails half the time does not receive several times the traffic of a healthy one.
- **Nothing works.** After five calls in a row that failed, whatever they called, nothing is retried within a call
  until one succeeds: a hundred profiles without a network must not pause a hundred times.
- **Retry-After.** What a host sends to one profile applies to all of them (RFC 9110, section 10.2.3).

Calls that do not send their requests through freshkey count for the hosts that their provider describes, and for one
source. Only background renewals are held back. User actions go out at once, and so does the retry of a request whose
response was lost, because that retry must not be late: see `GuardedCall.forced`.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, TypeVar

from attrs import define, evolve, field, frozen

from freshkey._http.messages import retry_after
from freshkey.clock import utc_time
from freshkey.errors import FreshkeyError, OutcomeUnknown, TransientError
from freshkey.model.exchange import Response


if TYPE_CHECKING:
    from freshkey.clock import Clock

log = logging.getLogger(__name__)

T = TypeVar("T")

FAILURES_TO_OPEN: Final = 5
"""Consecutive failures after which a host is paused."""

IN_A_ROW: Final = 30.0
"""Longest distance of two failed calls in a row, in seconds from the end of one to the start of the next."""

MIN_BREAK: Final = 5.0
MAX_BREAK: Final = 60.0
"""Pause in seconds; doubled by each failed probe."""

PROBE_TIMEOUT: Final = 60.0
"""Seconds after which an unfinished probe is ignored; a fork may have lost the thread that was running it."""

POLL_INTERVAL: Final = 1.0
"""Seconds between checks for the result of another caller's probe."""

CAPACITY: Final = 500
RETRY_COST: Final = 5
TIMEOUT_COST: Final = 10
REFUND: Final = 1

OF_COMMANDS: Final = frozenset(
    {"command-failed", "command-output-expired", "command-timed-out", "invalid-command-output"}
)
"""Codes of helper commands; running one again is no request."""

_LONG_AGO: Final = -math.inf


class HostPaused(TransientError):
    """The host is paused, so nothing was sent; retrying before ``retry_after`` is pointless.

    It is local: other processes have a circuit breaker of their own.
    """

    code = "host-paused"


@frozen(kw_only=True)
class HostState:
    """State of one host; times are monotonic seconds from `Clock.elapsed`.

    Attributes:
        failures: Consecutive failures.
        breaks: Consecutive pauses caused by failures.
        broken_until: End of the pause caused by failures.
        asked_until: End of the pause requested by the server.
        probed_until: Until then, a probe is in flight and its result decides.
        budget: What retries may still cost.
        timed_out: Whether the last failure was a timeout.
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
        """Whether the breaker is open, so that only one probe at a time may go out."""
        return self.failures >= FAILURES_TO_OPEN

    def wait(self, now: float) -> float:
        """Return the seconds until a request may be sent; 0 means now."""
        pause = max(self.broken_until, self.asked_until) - now
        if pause > 0:
            return pause
        return POLL_INTERVAL if self.broken and now < self.probed_until else 0.0

    def asked(self, now: float) -> HostState:
        """Record that a request goes out; if the breaker is open, it is the probe."""
        return evolve(self, probed_until=now + PROBE_TIMEOUT) if self.broken else self

    def answered(self) -> HostState:
        """Record a response. A pause requested by the server remains in effect."""
        return HostState(asked_until=self.asked_until, budget=min(CAPACITY, self.budget + REFUND))

    def failed(self, now: float, *, retry_after: float | None = None, timed_out: bool = False) -> HostState:
        """Record a failure; concurrent failures lengthen the pause only once."""
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
        """Record that a request ended in a way that says nothing about the host."""
        return evolve(self, probed_until=_LONG_AGO)

    @property
    def price(self) -> int:
        """Current cost of a retry."""
        return TIMEOUT_COST if self.timed_out else RETRY_COST

    def charged(self) -> HostState:
        """Deduct the cost of a retry, or whatever is left of the budget."""
        return evolve(self, budget=max(0, self.budget - self.price))


@define(eq=False)
class CircuitBreaker:
    """State of the hosts that one keeper's renewals call; thread-safe."""

    clock: Clock
    _hosts: defaultdict[str, HostState] = field(init=False, factory=lambda: defaultdict(HostState))
    _mutex: threading.Lock = field(init=False, factory=threading.Lock)
    _failed_calls: int = field(init=False, default=0)
    _call_failed_at: float = field(init=False, default=_LONG_AGO)

    def forget_threads(self) -> None:
        """Replace the lock; in a forked child, the parent's lock might never be released."""
        self._mutex = threading.Lock()

    def state(self, host: str) -> HostState:
        """Return the state of a host."""
        with self._mutex:
            return self._hosts[host]

    def allow(self, host: str, *, forced: bool = False) -> None:
        """Record that a request goes out.

        Raises:
            HostPaused: The host is paused.
        """
        now = self.clock.now()
        with self._mutex:
            state = self._hosts[host]
            wait = state.wait(now.elapsed)
            if wait <= 0 or forced:
                self._hosts[host] = state.asked(now.elapsed)
                return
        # A service in trouble recovers sooner without retries from every process and profile. Users are not held up:
        # their actions are `forced`.
        # See docs/decisions.md, "Host state belongs to a keeper and delays only background work".
        until = utc_time(now.wall + wait)
        why = f"{state.failures} consecutive failures" if state.broken else "requested by the server (Retry-After)"
        message = f"requests to {host} are paused until {until:%H:%M:%S} UTC: {why}"
        raise HostPaused(message, retry_after=wait, local=True, hint=f"Try again in {math.ceil(wait)} s")

    def note(self, host: str, answer: Response | Exception, *, timed_out: bool = False) -> None:
        """Record how a request ended."""
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
            log.warning("requests to %s are paused after %d consecutive failures", host, after.failures)
        elif before.broken and not after.broken:
            log.warning("%s is responding again", host)

    def note_unreported(self, what: str, error: BaseException | None) -> None:
        """Record how a call ended that did not say which host it called; None is a success."""
        now = self.clock.now()
        with self._mutex:
            before = self._hosts[what]
            self._hosts[what] = HostState() if error is None else before.failed(now.elapsed)

    def note_call(self, *, failed: bool) -> None:
        """Record how a call ended, whatever it called."""
        now = self.clock.elapsed()
        with self._mutex:
            self._failed_calls = self._failed_calls + 1 if failed else 0
            self._call_failed_at = now if failed else _LONG_AGO

    def begin_call(self) -> None:
        """Forget the calls that failed long before the one that begins now: it is not one of those in a row."""
        now = self.clock.elapsed()
        with self._mutex:
            if now - self._call_failed_at > IN_A_ROW:
                self._failed_calls = 0

    @property
    def nothing_works(self) -> bool:
        """Whether so many calls failed in a row that another retry is pointless, whatever it calls."""
        return self._failed_calls >= FAILURES_TO_OPEN

    def spend_retry_budget(self, host: str, *, pause: float, forced: bool) -> bool:
        """Pay for a retry after `pause` seconds; return False if it should not be made.

        A `forced` retry is always allowed and costs at most what is left.
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
    """One caller's attempts to get a response, from any number of hosts; `forced` attempts ignore the breaker.

    Attributes:
        breaker: The circuit breaker.
        forced: Whether requests go out even while a host is paused.
        unreported: What stands for the host of a call that does not send its requests through freshkey; None if that
            cannot be told.
    """

    breaker: CircuitBreaker
    forced: bool = False
    unreported: str | None = None
    _last: str | None = field(init=False, default=None)
    _answers: dict[str, Response] = field(init=False, factory=dict)
    _failing: set[str] = field(init=False, factory=set)
    _starting: bool = field(init=False, default=False)

    def begin(self, host: str) -> None:
        """Record that a request goes out; raises `HostPaused` like `CircuitBreaker.allow`."""
        self._last = host
        if host not in self._answers:  # else it has just answered this call, which may be the probe
            self.breaker.allow(host, forced=self.forced)

    def end(self, host: str, answer: Response | Exception, *, timed_out: bool) -> None:
        """Record how it ended."""
        if isinstance(answer, Response) and not _is_failure(answer):
            # A host may answer one request of each call, such as that for its metadata, and fail at the next one.
            self._answers[host] = answer
            return
        self._failing.add(host)
        self.breaker.note(host, answer, timed_out=timed_out)

    def run(self, call: Callable[[], T]) -> T:
        """Make one attempt, and record how it ended.

        Raises:
            HostPaused: It does not report the hosts that it calls, and failed too often; it was not made.
        """
        self._last, self._answers, self._failing = None, {}, set()
        self.breaker.begin_call()
        if self.unreported is not None and self.breaker.state(self.unreported).broken:
            self.breaker.allow(self.unreported, forced=self.forced)
        try:
            result = call()
        except BaseException as error:
            self._settle(error)
            raise
        self._settle(None)
        return result

    def _settle(self, error: BaseException | None) -> None:
        for host, answer in self._answers.items():
            if host not in self._failing:
                self.breaker.note(host, answer)
        self._answers = {}
        # What has not started yet has a pace of its own.
        self._starting = isinstance(error, TransientError) and error.starting
        if isinstance(error, HostPaused) or self._starting:
            return
        failed = isinstance(error, TransientError | OutcomeUnknown)
        self.breaker.note_call(failed=failed)
        if self.unreported is not None and self._last is None:
            self.breaker.note_unreported(self.unreported, error if failed and not _is_of_machine(error) else None)

    def worth_another(self, pause: float, *, lost_answer: bool) -> bool:
        """Pay for another attempt after `pause` seconds; return False if it would be pointless.

        Repeating a request whose response was lost is now or never, so it is forced.
        """
        self.forced = self.forced or lost_answer
        if self.breaker.nothing_works and not (self.forced or self._starting):
            return False
        return self._last is None or self.breaker.spend_retry_budget(self._last, pause=pause, forced=self.forced)


def _is_of_machine(error: BaseException | None) -> bool:
    """Return whether a failure is one of this machine, such as that of a helper command, and not of a host."""
    return isinstance(error, FreshkeyError) and (error.found_here or error.code in OF_COMMANDS)


_CURRENT: ContextVar[GuardedCall | None] = ContextVar("freshkey guarded call", default=None)


def current() -> GuardedCall | None:
    """Return the guarded call that this thread's requests belong to; None if they are not guarded."""
    return _CURRENT.get()


@contextmanager
def guarding(guarded: GuardedCall) -> Iterator[None]:
    """Make the requests of this thread part of `guarded` within the block."""
    token = _CURRENT.set(guarded)
    try:
        yield
    finally:
        _CURRENT.reset(token)
