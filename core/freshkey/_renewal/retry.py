"""The retry policy: what is retried, how often, and after which pauses, both within an attempt and between attempts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final, TypeVar

from attrs import frozen

from freshkey._http.circuit_breaker import GuardedCall, HostPaused, guarding
from freshkey.clock import Clock
from freshkey.errors import OutcomeUnknown, TransientError


if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")

LOST_ANSWER_WINDOW: Final = 30.0
"""Seconds after the first request within which the same single-use refresh token may be sent again."""

LOST_ANSWER_RETRIES: Final = 2
"""How many times it may be sent again within that window."""

MAX_PAUSE: Final = 60.0
"""Longest pause between two attempts in seconds, unless the server requests more."""


@frozen(kw_only=True)
class Policy:
    """How often to retry within one attempt.

    Attributes:
        attempts: Maximum number of calls.
        budget: Seconds after which no further call is started.
        base: Upper limit of the first pause in seconds; it doubles for each further pause.
        cap: Upper limit of any pause in seconds, unless the server requests more.
        unknown_answers: How many calls with an unknown outcome may be repeated.
    """

    attempts: int = 4
    budget: float = LOST_ANSWER_WINDOW
    base: float = 0.5
    cap: float = 20.0
    unknown_answers: int = LOST_ANSWER_RETRIES


def call_with_retry(
    call: Callable[[], T],
    policy: Policy,
    *,
    clock: Clock,
    random: Callable[[], float],
    stop: Callable[[], bool],
    guarded: GuardedCall | None = None,
) -> T:
    """Return what `call` returns, retrying the failures that may be retried.

    A `TransientError` is retried after a pause with full jitter, never shorter than its ``retry_after``; an
    `OutcomeUnknown` as often as the policy allows. The last failure and every other error are raised unchanged; so is
    an error that cannot be retried because calls to its host are paused.

    Args:
        call: What to call.
        policy: How often to retry.
        clock: Measures the budget, and sleeps.
        random: Returns a number from 0 to 1.
        stop: Returns true once nothing should be retried, because the process is exiting.
        guarded: The circuit breaker for the hosts that `call` calls; None ignores it.
    """
    import tenacity

    started = clock.elapsed()
    unknown_answers = 0

    def worth(state: RetryCallState) -> bool:
        nonlocal unknown_answers
        error = _error_of(state)
        if isinstance(error, OutcomeUnknown):
            unknown_answers += 1
            return unknown_answers <= policy.unknown_answers
        return isinstance(error, TransientError) and not isinstance(error, HostPaused)

    def pause(state: RetryCallState) -> float:
        # Full jitter: clients that failed together must not retry together.
        longest = min(policy.cap, policy.base * 2.0 ** (state.attempt_number - 1))
        asked = getattr(_error_of(state), "retry_after", None) or 0.0
        return max(random() * longest, asked)

    def enough(state: RetryCallState) -> bool:
        ends = clock.elapsed() - started + state.upcoming_sleep
        if stop() or state.attempt_number >= policy.attempts or ends > policy.budget:
            return True
        lost = isinstance(_error_of(state), OutcomeUnknown)
        return guarded is not None and not guarded.worth_another(state.upcoming_sleep, lost_answer=lost)

    def sleep(seconds: float) -> None:
        clock.wait(threading.Event(), seconds)

    with guarding(guarded) if guarded is not None else nullcontext():
        return tenacity.Retrying(retry=worth, wait=pause, stop=enough, sleep=sleep, reraise=True)(call)


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
