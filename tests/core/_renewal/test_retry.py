"""The retry policy on a manual clock: pauses, Retry-After, budget, unknown outcomes (NET-2), and between attempts."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey._http.circuit_breaker import CircuitBreaker, GuardedCall
from freshkey._renewal.retry import (
    LOST_ANSWER_RETRIES,
    LOST_ANSWER_WINDOW,
    Policy,
    attempt_floor,
    call_with_retry,
    pause_after_failure,
)
from freshkey.clock import SYSTEM, Moment
from freshkey.errors import (
    FreshkeyError,
    IntermediaryAnswer,
    LoginRequired,
    OutcomeUnknown,
    ProtocolError,
    ProviderRefused,
    StoreUnavailable,
    TransientError,
)
from freshkey_testing import ManualClock
from raises_code import raises_code


POLICY = Policy(attempts=4, budget=100.0, base=1.0, cap=20.0, unknown_answers=2)
LATER = TransientError("later")
UNKNOWN = OutcomeUnknown("no answer")

lifetimes = st.floats(min_value=1.0, max_value=10 * 365 * 86_400.0)
shares = st.floats(min_value=0.0, max_value=1.0)


class SelfMovingClock:
    """A clock that advances by waiting, so that no second thread is needed."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.pauses: list[float] = []

    def elapsed(self) -> float:
        return self.time

    def now(self) -> Moment:
        return Moment(self.time, self.time, "boot")

    def wait(self, event: threading.Event, timeout: float) -> bool:
        self.pauses.append(timeout)
        self.time += timeout
        return event.is_set()


class Calls:
    """Raises or returns one outcome after another; each call takes `seconds`."""

    def __init__(self, clock: SelfMovingClock, outcomes: Iterator[object], seconds: float = 0.0) -> None:
        self.clock, self.outcomes, self.seconds = clock, outcomes, seconds
        self.times: list[float] = []

    def __call__(self) -> object:
        self.times.append(self.clock.time - 1000.0)
        self.clock.time += self.seconds
        outcome = next(self.outcomes)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def attempt(
    *outcomes: object, policy: Policy = POLICY, random: float = 1.0, seconds: float = 0.0, stop: bool = False
) -> tuple[object, list[float]]:
    """Return the result or error, and the times of the calls."""
    clock = SelfMovingClock()
    calls = Calls(clock, iter(outcomes), seconds)
    try:
        result: object = call_with_retry(calls, policy, clock=clock, random=lambda: random, stop=lambda: stop)
    except BaseException as error:  # noqa: BLE001  the test checks whatever is raised
        result = error
    return result, calls.times


def test_result_is_returned_at_once() -> None:
    assert attempt("token") == ("token", [0.0])


def test_pauses_double_with_full_jitter() -> None:
    assert attempt(LATER, LATER, LATER, "token") == ("token", [0.0, 1.0, 3.0, 7.0])
    assert attempt(LATER, LATER, LATER, "token", random=0.25) == ("token", [0.0, 0.25, 0.75, 1.75])


def test_no_pause_is_longer_than_the_cap() -> None:
    policy = Policy(attempts=8, budget=1000.0, base=1.0, cap=5.0)
    assert attempt(*[LATER] * 7, "token", policy=policy) == ("token", [0.0, 1.0, 3.0, 7.0, 12.0, 17.0, 22.0, 27.0])


def test_retry_after_is_a_minimum_even_over_the_cap() -> None:  # RFC 9110, section 10.2.3
    asked = TransientError("later", retry_after=30.0)
    assert attempt(asked, "token") == ("token", [0.0, 30.0])
    short = TransientError("later", retry_after=0.5)
    assert attempt(short, "token") == ("token", [0.0, 1.0])
    assert attempt(short, "token", random=0.0) == ("token", [0.0, 0.5])


def test_what_has_not_started_yet_is_called_until_the_budget_ends() -> None:
    starting = TransientError("no server yet", local=True, starting=True)
    policy = Policy(attempts=2, budget=30.0)
    result, times = attempt(*[starting] * 100, policy=policy)
    assert (result, times) == (starting, [2.0 * n for n in range(16)])
    assert attempt(*[starting] * 3, "token", policy=policy, random=0.0) == ("token", [0.0, 1.0, 2.0, 3.0])


def test_starting_and_failing_are_counted_together() -> None:
    starting = TransientError("no server yet", local=True, starting=True)
    assert attempt(starting, starting, starting, starting, LATER) == (LATER, [0.0, 2.0, 4.0, 6.0, 8.0])


@pytest.mark.parametrize("code", ["tls-certificate-refused", "tls-version-refused"])
def test_what_is_the_same_a_moment_later_is_not_retried(code: str) -> None:
    refused = TransientError("the certificate of as.example.com cannot be verified", local=True, code=code)
    assert attempt(refused, "token") == (refused, [0.0])


def test_the_last_failure_is_raised_itself() -> None:
    failures = [TransientError(str(number)) for number in range(4)]
    result, times = attempt(*failures)
    assert result is failures[-1]
    assert times == [0.0, 1.0, 3.0, 7.0]


def test_no_call_begins_after_the_budget() -> None:
    assert attempt(*[LATER] * 4, policy=Policy(budget=3.0, base=1.0)) == (LATER, [0.0, 1.0, 3.0])
    assert attempt(*[LATER] * 4, policy=Policy(budget=2.9, base=1.0)) == (LATER, [0.0, 1.0])
    assert attempt(*[LATER] * 4, policy=Policy(budget=3.0, base=1.0), seconds=1.0) == (LATER, [0.0, 2.0])


def test_retry_after_beyond_the_budget_is_not_waited_for() -> None:
    asked = TransientError("later", retry_after=101.0)
    assert attempt(asked, "token") == (asked, [0.0])


@pytest.mark.parametrize("unknown", [UNKNOWN, ProtocolError("not JSON")])
@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_unknown_outcome_is_retried_only_as_often_as_allowed(unknown: OutcomeUnknown, allowed: int) -> None:
    policy = Policy(attempts=10, budget=1000.0, base=1.0, cap=1.0, unknown_answers=allowed)
    result, times = attempt(*[unknown] * 10, policy=policy)
    assert result is unknown
    assert len(times) == 1 + allowed


def test_last_repetition_of_a_lost_response_waits_longer_if_it_is_to_be_spread() -> None:
    """A network that is being switched loses several responses within a second."""
    policy = Policy(budget=30.0, base=0.5, spread=True)
    assert attempt(UNKNOWN, UNKNOWN, "token", policy=policy) == ("token", [0.0, 0.5, 10.5])
    assert attempt(UNKNOWN, UNKNOWN, "token", policy=policy, random=0.5) == ("token", [0.0, 0.25, 5.25])
    assert attempt(UNKNOWN, LATER, LATER, "token", policy=policy) == ("token", [0.0, 0.5, 1.5, 3.5])


def test_last_repetition_is_within_the_budget_however_long_the_responses_took() -> None:
    policy = Policy(budget=30.0, base=0.5, spread=True)
    assert attempt(UNKNOWN, UNKNOWN, "token", policy=policy, seconds=13.0) == ("token", [0.0, 13.5, 30.0])


def test_answer_of_something_in_between_is_not_retried() -> None:
    page = IntermediaryAnswer("a page")
    assert attempt(page, "token") == (page, [0.0])
    assert attempt(UNKNOWN, page, "token", random=0.0) == (page, [0.0, 0.0])


def test_unknown_outcomes_are_counted_across_other_failures() -> None:
    policy = Policy(attempts=10, budget=1000.0, base=1.0, cap=1.0, unknown_answers=1)
    result, times = attempt(UNKNOWN, LATER, LATER, UNKNOWN, "token", policy=policy)
    assert result is UNKNOWN
    assert len(times) == 4


def test_rule_for_lost_responses_is_the_default() -> None:
    assert (LOST_ANSWER_RETRIES, LOST_ANSWER_WINDOW) == (2, 30.0)
    assert (Policy().unknown_answers, Policy().budget) == (2, 30.0)


@pytest.mark.parametrize(
    "error",
    [
        LoginRequired("sign in"),
        ProviderRefused("no"),
        StoreUnavailable("locked"),
        ValueError("odd"),
        KeyboardInterrupt(),
        SystemExit(3),
    ],
    ids=lambda error: type(error).__name__,
)
def test_other_exceptions_are_raised_unchanged_after_one_call(error: BaseException) -> None:
    result, times = attempt(error, "token")
    assert result is error
    assert times == [0.0]


def test_nothing_is_retried_while_the_process_exits() -> None:
    assert attempt(LATER, "token", stop=True) == (LATER, [0.0])


def test_each_call_has_its_own_count() -> None:
    for _ in range(2):
        assert attempt(UNKNOWN, UNKNOWN, "token")[0] == "token"


outcomes = st.sampled_from([LATER, UNKNOWN, TransientError("busy", retry_after=7.0), LoginRequired("no"), "token"])


@given(st.lists(outcomes, min_size=4, max_size=4), st.floats(0, 1), st.floats(0, 20))
def test_no_sequence_of_failures_exceeds_the_policy(course: list[Any], random: float, seconds: float) -> None:
    result, times = attempt(*course, random=random, seconds=seconds)
    assert len(times) <= POLICY.attempts
    assert times[-1] <= POLICY.budget
    assert sum(each is UNKNOWN for each in course[: len(times) - 1]) <= POLICY.unknown_answers
    assert result is course[len(times) - 1]


def test_pauses_use_the_given_clock() -> None:
    clock = ManualClock()
    results: list[object] = []
    failures = iter([LATER, LATER])

    def call() -> str:
        for failure in failures:
            raise failure
        return "token"

    def work() -> None:
        results.append(call_with_retry(call, POLICY, clock=clock, random=lambda: 1.0, stop=lambda: False))

    thread = threading.Thread(target=work)
    thread.start()
    for pause in (1.0, 2.0):
        assert clock.wait_until_waiting() == (pause,)
        clock.advance(pause)
    thread.join()
    assert results == ["token"]


@pytest.mark.parametrize("course", [(LATER, UNKNOWN, "token"), (LATER,) * 4, (LoginRequired("sign in"),)])
def test_retries_are_not_logged(course: tuple[object, ...], caplog: pytest.LogCaptureFixture) -> None:  # LEK-1
    caplog.set_level(logging.DEBUG)
    attempt(*course)
    assert caplog.records == []


def test_raised_error_has_no_cause() -> None:
    result, _ = attempt(*[LATER] * 4)
    assert isinstance(result, FreshkeyError)
    assert result.__cause__ is None


def test_nested_calls_do_not_share_a_count() -> None:
    inner: Callable[[], object] = lambda: attempt(UNKNOWN, UNKNOWN, "inner")[0]  # noqa: E731
    courses = iter([inner, inner])

    def call() -> object:
        assert next(courses)() == "inner"
        raise UNKNOWN

    clock = SelfMovingClock()
    policy = Policy(attempts=10, unknown_answers=1, base=1.0)
    with pytest.raises(OutcomeUnknown):
        call_with_retry(call, policy, clock=clock, random=lambda: 1.0, stop=lambda: False)
    assert len(clock.pauses) == 1


# --- between two attempts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lifetime", "floor"),
    [(None, 30.0), (8 * 3600.0, 30.0), (300.0, 30.0), (100.0, 10.0), (10.0, 1.0), (1.0, 1.0), (0.0, 30.0)],
)
def test_attempt_floor_is_a_tenth_of_the_lifetime(lifetime: float | None, floor: float) -> None:  # TIM-4
    assert attempt_floor(lifetime) == floor


@given(st.none() | lifetimes, st.integers(min_value=1, max_value=10_000), shares)
def test_pause_is_between_the_floor_and_a_minute(lifetime: float | None, failures: int, share: float) -> None:  # TIM-4
    pause = pause_after_failure(lifetime, failures, None, share)
    assert attempt_floor(lifetime) <= pause <= 60.0


@given(st.none() | lifetimes, st.integers(min_value=1, max_value=100), shares, st.floats(min_value=0, max_value=3600))
def test_pause_is_never_shorter_than_retry_after(
    lifetime: float | None, failures: int, share: float, asked: float
) -> None:  # TIM-4
    pause = pause_after_failure(lifetime, failures, asked, share)
    assert pause == max(asked, pause_after_failure(lifetime, failures, None, share))


@pytest.mark.parametrize(("failures", "pause"), [(1, 2.0), (2, 4.0), (5, 32.0), (6, 60.0), (50, 60.0)])
def test_the_range_of_pauses_doubles(failures: int, pause: float) -> None:
    assert pause_after_failure(10.0, failures, None, 1.0) == pause
    assert pause_after_failure(10.0, failures, None, 0.0) == 1.0


# --- closing, and what a retry costs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("outcome", "calls"), [(LATER, 1), (UNKNOWN, 2)])
def test_after_closing_only_a_lost_response_is_retried(outcome: FreshkeyError, calls: int) -> None:
    clock, closing = SelfMovingClock(), threading.Event()
    closing.set()
    made = Calls(clock, iter([outcome, "token"]))
    if calls == 1:
        with raises_code(TransientError, "temporarily-unavailable"):
            call_with_retry(made, POLICY, clock=clock, random=lambda: 1.0, stop=lambda: False, closing=closing)
    else:
        found = call_with_retry(made, POLICY, clock=clock, random=lambda: 1.0, stop=lambda: False, closing=closing)
        assert found == "token"
    assert len(made.times) == calls


class Paying(GuardedCall):
    """Records what each retry is said to cost."""

    def __init__(self) -> None:
        super().__init__(CircuitBreaker(SYSTEM), forced=False)
        self.bills: list[tuple[float, bool]] = []

    def worth_another(self, pause: float, *, lost_answer: bool) -> bool:
        self.bills.append((pause, lost_answer))
        return True


def test_a_retry_is_paid_for_with_its_pause_and_whether_a_response_was_lost() -> None:
    clock, guarded = SelfMovingClock(), Paying()
    made = Calls(clock, iter([LATER, UNKNOWN, "token"]))
    call_with_retry(made, POLICY, clock=clock, random=lambda: 1.0, stop=lambda: False, guarded=guarded)
    assert guarded.bills == [(1.0, False), (2.0, True)]
