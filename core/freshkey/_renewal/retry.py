"""The one retry policy: what is tried again, how often, and after which pauses, within an attempt and between two."""

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
"""Seconds from the first sending within which the same single-use refresh token may be sent again."""

LOST_ANSWER_RETRIES: Final = 2
"""How often it may be sent again within that window."""

MAX_PAUSE: Final = 60.0
"""Seconds between two attempts at the most, unless the server asks for more."""


@frozen(kw_only=True)
class Policy:
    """How persistent to be.

    Attributes:
        attempts: Calls at the most.
        budget: Seconds after which no further call begins.
        base: Seconds of the first pause at the most; each further one may be twice as long.
        cap: Seconds of any pause at the most, unless the server asks for more.
        unknown_answers: How many calls without an answer may be repeated.
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
    """Return what `call` returns, trying again what may be tried again.

    A `TransientError` is tried again after a pause with full jitter, never shorter than its ``retry_after``; an
    `OutcomeUnknown` as often as the policy allows. Everything else, and the last failure, is raised as it is; so is
    at once what the host cannot be asked about again for now.

    `random` returns a number from 0 to 1; `stop` is true once nothing further should be tried, because the process is
    exiting; `guarded` is what is known of the hosts that `call` calls, so that they can be spared: None spares none.
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
    """Return the seconds between two attempts to renew: a tenth of the lifetime, within 1 s and 30 s.

    A lifetime of nothing is a mistake of the provider, and asking it thirty times as often would not mend it.
    """
    return max(1.0, min(30.0, lifetime / 10)) if lifetime else 30.0


def pause_after_failure(lifetime: float | None, failures: int, retry_after: float | None, share: float) -> float:
    """Return the seconds to wait after a failed attempt to renew.

    Full jitter over a doubling range (at most a minute), never under the floor, never under what the server asked.

    The `failures` are those in a row, this one included; `retry_after` is what the server asked, in seconds, or None;
    `share` is a random number from 0 to 1.
    """
    floor = attempt_floor(lifetime)
    longest = min(MAX_PAUSE, floor * 2.0 ** min(failures, 10))
    return max(floor, share * longest, retry_after or 0.0)


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
