"""The retry policy: what is retried, how often, and after which pauses, both within an attempt and between attempts."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final, TypeVar

from attrs import frozen

from freshkey._http.circuit_breaker import GuardedCall, HostPaused, guarding
from freshkey.clock import Clock
from freshkey.errors import FreshkeyError, IntermediaryAnswer, OutcomeUnknown, TransientError


if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")

OnRetry = Callable[[FreshkeyError, float], None]
"""Is told about a failed call that is repeated after this many seconds."""

LOST_ANSWER_WINDOW: Final = 30.0
"""Seconds after the first request within which the same single-use refresh token may be sent again."""

LOST_ANSWER_RETRIES: Final = 2
"""How many times it may be sent again within that window."""

START_PAUSE: Final = 2.0
"""Longest pause in seconds between two calls of something that has not started yet."""

_NOT_RETRIED: Final = frozenset({"tls-certificate-refused", "tls-version-refused"})
"""Codes of transient errors that would be the same a moment later."""

MAX_PAUSE: Final = 60.0
"""Longest pause between two attempts in seconds, unless the server requests more."""


@frozen(kw_only=True)
class Policy:
    """How often to retry within one attempt.

    Attributes:
        attempts: Maximum number of calls; what has not started yet is called until the budget ends.
        budget: Seconds after which no further call is started.
        base: Upper limit of the first pause in seconds; it doubles for each further pause.
        cap: Upper limit of any pause in seconds, unless the server requests more.
        unknown_answers: How many calls with an unknown outcome may be repeated.
        spread: The last of these is repeated only after up to a third of the budget.
    """

    attempts: int = 4
    budget: float = LOST_ANSWER_WINDOW
    base: float = 0.5
    cap: float = 20.0
    unknown_answers: int = LOST_ANSWER_RETRIES
    spread: bool = False


def call_with_retry(
    call: Callable[[], T],
    policy: Policy,
    *,
    clock: Clock,
    random: Callable[[], float],
    stop: Callable[[], bool],
    guarded: GuardedCall | None = None,
    closing: threading.Event | None = None,
    on_retry: OnRetry | None = None,
) -> T:
    """Return what `call` returns, retrying the failures that may be retried.

    A `TransientError` is retried after a pause with full jitter, never shorter than its ``retry_after``; an
    `OutcomeUnknown` as often as the policy allows, unless something in between answered. The last failure and every
    other error are raised unchanged; so is one that will be the same a moment later: the host is paused, or its
    certificate is not accepted.

    Args:
        call: What to call.
        policy: How often to retry.
        clock: Measures the budget, and sleeps.
        random: Returns a number from 0 to 1.
        stop: Returns true once nothing should be retried, because the process is exiting.
        guarded: The circuit breaker for the hosts that `call` calls; None ignores it.
        closing: Once set, the last failure is raised instead of pausing any longer, unless a response was lost: a
            single-use token may be spent, and its retry is now or never.
        on_retry: Is told about each failure before the pause that follows it.
    """
    import tenacity

    started = clock.elapsed()
    unknown_answers = 0
    closing = closing or threading.Event()

    def worth(state: RetryCallState) -> bool:
        nonlocal unknown_answers
        error = _error_of(state)
        if isinstance(error, IntermediaryAnswer):
            return False  # whatever answered will answer again a moment later
        if isinstance(error, OutcomeUnknown):
            unknown_answers += 1
            return unknown_answers <= policy.unknown_answers
        return isinstance(error, TransientError) and not (isinstance(error, HostPaused) or error.code in _NOT_RETRIED)

    def pause(state: RetryCallState) -> float:
        asked = getattr(_error_of(state), "retry_after", None) or 0.0
        left = policy.budget - (clock.elapsed() - started)
        return max(_own_pause(state, policy, random(), lost=unknown_answers, left=left), asked)

    def enough(state: RetryCallState) -> bool:
        ends = clock.elapsed() - started + state.upcoming_sleep
        lost = isinstance(_error_of(state), OutcomeUnknown)
        often = state.attempt_number >= policy.attempts and not is_starting(_error_of(state))
        if stop() or (closing.is_set() and not lost) or often or ends > policy.budget:
            return True
        return guarded is not None and not guarded.worth_another(state.upcoming_sleep, lost_answer=lost)

    # The pause is in `before_sleep`, which knows the failure.
    rest = functools.partial(_rest, clock=clock, closing=closing, on_retry=on_retry)
    with guarding(guarded) if guarded is not None else nullcontext():
        return tenacity.Retrying(
            retry=worth, wait=pause, stop=enough, before_sleep=rest, sleep=lambda _: None, reraise=True
        )(call if guarded is None else functools.partial(guarded.run, call))


def _own_pause(state: RetryCallState, policy: Policy, share: float, *, lost: int, left: float) -> float:
    """Return the pause before the next call if no server requests one.

    Args:
        state: How often it was called, and with what outcome.
        policy: How often to retry.
        share: A random number from 0 to 1.
        lost: How many calls had an unknown outcome so far.
        left: Seconds of the budget that are left.
    """
    error = _error_of(state)
    if is_starting(error):
        return START_PAUSE * (1 + share) / 2  # no other client calls it, and a caller may be waiting for it
    if policy.spread and isinstance(error, OutcomeUnknown) and lost == policy.unknown_answers:
        # A network that is being switched loses several responses within a second, and then works.
        return share * max(0.0, min(policy.budget / 3, left))
    # Full jitter: clients that failed together must not retry together.
    return share * min(policy.cap, policy.base * 2.0 ** (state.attempt_number - 1))


def _rest(state: RetryCallState, *, clock: Clock, closing: threading.Event, on_retry: OnRetry | None) -> None:
    """Pause before the next call; raise the last failure again if the pause ends because nothing more is tried."""
    error = _error_of(state)
    if on_retry is not None and isinstance(error, FreshkeyError):
        on_retry(error, state.upcoming_sleep)
    lost = isinstance(error, OutcomeUnknown)
    if clock.wait(threading.Event() if lost else closing, state.upcoming_sleep) and error is not None:
        raise error


def is_starting(error: BaseException | None) -> bool:
    """Return whether a call failed because what it calls has not started yet."""
    return isinstance(error, TransientError) and error.starting


def attempt_floor(lifetime: float | None) -> float:
    """Return the minimum seconds between two attempts to renew: a tenth of the lifetime, but from 1 s to 30 s.

    It keeps credentials that expire at once or are refused at once from being renewed in a loop (TIM-4). A lifetime of
    zero is a provider bug, which more frequent requests would not fix.
    """
    return max(1.0, min(30.0, lifetime / 10)) if lifetime else 30.0


def pause_after_failure(lifetime: float | None, failures: int, retry_after: float | None, share: float) -> float:
    """Return the seconds to wait after a failed attempt to renew.

    Full jitter over a range that doubles up to a minute, but never less than the floor or than the server requested.

    Args:
        lifetime: Lifetime of the credential in seconds, or None.
        failures: Failures in a row, including this one.
        retry_after: Seconds that the server requested, or None.
        share: A random number from 0 to 1.
    """
    floor = attempt_floor(lifetime)
    longest = min(MAX_PAUSE, floor * 2.0 ** min(failures, 10))
    return max(floor, share * longest, retry_after or 0.0)


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
