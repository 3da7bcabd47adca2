"""The circuit breaker: pauses after failures, retry budget, and Retry-After (NET-4, NET-3)."""

from __future__ import annotations

import logging
import socket
import threading
from http import HTTPStatus
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshkey import Configuration, Keeper
from freshkey._http import circuit_breaker
from freshkey._http import client as http_client
from freshkey._http.circuit_breaker import CAPACITY, CircuitBreaker, GuardedCall, HostPaused, HostState, guarding
from freshkey._renewal.retry import Policy, call_with_retry
from freshkey.errors import ConfigurationError, OutcomeUnknown, ProtocolError, ProviderRefused, TransientError
from freshkey.model.exchange import Request, Response
from freshkey_testing import AuthorizationServer, ManualClock
from raises_code import raises_code


HOST = "auth.example.com"
FINE = Response(status=200, headers={})
LATER = TransientError("later")
LOST = OutcomeUnknown("no response")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def breaker(clock: ManualClock) -> CircuitBreaker:
    return CircuitBreaker(clock)


def fail(breaker: CircuitBreaker, times: int, host: str = HOST) -> None:
    for _ in range(times):
        breaker.note(host, LATER)


def refusal(breaker: CircuitBreaker, host: str = HOST) -> HostPaused:
    with raises_code(HostPaused, "host-paused") as caught:
        breaker.allow(host)
    return caught.value


# --- the breaker ------------------------------------------------------------------------------------------------------


def test_the_fifth_consecutive_failure_opens_the_breaker(breaker: CircuitBreaker) -> None:
    fail(breaker, 4)
    breaker.allow(HOST)
    fail(breaker, 1)
    assert refusal(breaker).retry_after == 5.0


def test_two_ports_of_one_machine_are_two_hosts(breaker: CircuitBreaker) -> None:
    with AuthorizationServer() as alive, socket.create_server(("127.0.0.1", 0)) as bound:
        dead = f"http://127.0.0.1:{bound.getsockname()[1]}/"
        bound.close()
        with guarding(GuardedCall(breaker)):
            for _ in range(circuit_breaker.FAILURES_TO_OPEN):
                with raises_code(TransientError, "connection-failed"):
                    http_client.send(Request(method="GET", url=dead), allow_insecure_loopback=True)
            with raises_code(HostPaused, "host-paused"):
                http_client.send(Request(method="GET", url=dead), allow_insecure_loopback=True)
            answer = http_client.send(Request(method="GET", url=alive.urls.resource), allow_insecure_loopback=True)
    assert answer.status == HTTPStatus.UNAUTHORIZED


def test_a_response_resets_the_failure_count(breaker: CircuitBreaker) -> None:
    fail(breaker, 4)
    breaker.note(HOST, FINE)
    fail(breaker, 4)
    breaker.allow(HOST)


def test_each_host_has_its_own_failure_count(breaker: CircuitBreaker) -> None:
    fail(breaker, 5)
    breaker.allow("other.example.com")
    breaker.allow(f"{HOST}:8443")


def test_host_paused_says_until_when_and_why(breaker: CircuitBreaker, clock: ManualClock) -> None:
    fail(breaker, 5)
    message = refusal(breaker).message
    assert HOST in message
    assert "00:00:05 UTC" in message
    assert "5 consecutive failures" in message
    clock.advance(3.5)
    refused = refusal(breaker)
    assert refused.retry_after == 1.5
    assert refused.hint is not None
    assert "2 s" in refused.hint


def test_after_the_pause_one_probe_goes_out_and_the_others_wait(breaker: CircuitBreaker, clock: ManualClock) -> None:
    fail(breaker, 5)
    clock.advance(5.0)
    breaker.allow(HOST)
    assert refusal(breaker).retry_after == 1.0
    breaker.note(HOST, FINE)
    breaker.allow(HOST)
    breaker.allow(HOST)


def test_pauses_double_up_to_a_minute_and_a_response_resets_them(breaker: CircuitBreaker, clock: ManualClock) -> None:
    fail(breaker, 5)
    breaks = []
    for _ in range(6):
        breaks.append(refusal(breaker).retry_after)
        clock.advance(breaks[-1] or 0.0)
        breaker.allow(HOST)
        fail(breaker, 1)
    assert breaks == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    breaker.note(HOST, FINE)
    fail(breaker, 5)
    assert refusal(breaker).retry_after == 5.0


def test_concurrent_failures_cause_only_one_pause(breaker: CircuitBreaker) -> None:
    fail(breaker, 30)
    assert refusal(breaker).retry_after == 5.0


def test_an_unfinished_probe_is_ignored_after_a_minute(breaker: CircuitBreaker, clock: ManualClock) -> None:
    fail(breaker, 5)
    clock.advance(5.0)
    breaker.allow(HOST)
    clock.advance(59.0)
    refusal(breaker)
    clock.advance(1.0)
    breaker.allow(HOST)
    refusal(breaker)


@pytest.mark.parametrize("answer", [ProviderRefused("certificate"), ConfigurationError("proxy")], ids=str)
def test_an_outcome_that_says_nothing_about_the_host_allows_another_probe(
    breaker: CircuitBreaker, clock: ManualClock, answer: Exception
) -> None:
    fail(breaker, 5)
    clock.advance(5.0)
    breaker.allow(HOST)
    breaker.note(HOST, answer)
    breaker.allow(HOST)
    refusal(breaker)


@pytest.mark.parametrize(
    "answer",
    [
        LATER,
        LOST,
        ProtocolError("malformed"),
        *(Response(status=code, headers={}) for code in (408, 429, 500, 502, 503, 504)),
    ],
    ids=lambda answer: str(getattr(answer, "status", type(answer).__name__)),
)
def test_responses_and_errors_that_count_as_failures(breaker: CircuitBreaker, answer: Response | Exception) -> None:
    for _ in range(5):
        breaker.note(HOST, answer)
    refusal(breaker)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404])
def test_a_4xx_status_resets_the_failure_count(breaker: CircuitBreaker, status: int) -> None:
    fail(breaker, 4)
    breaker.note(HOST, Response(status=status, headers={}))
    fail(breaker, 4)
    breaker.allow(HOST)


def test_opening_and_closing_the_breaker_each_log_one_line(
    breaker: CircuitBreaker, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fail(breaker, 30)
    clock.advance(5.0)
    breaker.allow(HOST)
    fail(breaker, 1)
    assert [record.message for record in caplog.records] == [
        f"requests to {HOST} are paused after 5 consecutive failures"
    ]
    breaker.note(HOST, FINE)
    breaker.note(HOST, FINE)
    assert [record.message for record in caplog.records][1:] == [f"{HOST} is responding again"]


# --- Retry-After ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "wait"),
    [("10", 10.0), ("Thu, 01 Jan 2026 00:00:20 GMT", 20.0), ("1000000000", 3600.0)],
    ids=["seconds", "date", "too-long"],
)
def test_retry_after_applies_to_every_caller(
    breaker: CircuitBreaker, clock: ManualClock, asked: str, wait: float
) -> None:  # NET-3
    breaker.note(HOST, Response(status=429, headers={"retry-after": asked}))
    assert refusal(breaker).retry_after == wait
    assert "Retry-After" in refusal(breaker).message
    clock.advance(wait)
    breaker.allow(HOST)


@pytest.mark.parametrize("asked", ["-5", "NaN", "1e9", "soon", "", "0", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_malformed_or_past_retry_after_is_ignored(breaker: CircuitBreaker, asked: str) -> None:  # NET-3
    breaker.note(HOST, Response(status=429, headers={"retry-after": asked}))
    breaker.allow(HOST)


def test_a_response_to_another_caller_does_not_cut_retry_after_short(breaker: CircuitBreaker) -> None:
    breaker.note(HOST, Response(status=429, headers={"retry-after": "10"}))
    breaker.note(HOST, FINE)
    assert refusal(breaker).retry_after == 10.0


def test_a_shorter_retry_after_does_not_replace_a_longer_one(breaker: CircuitBreaker) -> None:
    for asked in ("10", "2"):
        breaker.note(HOST, Response(status=429, headers={"retry-after": asked}))
    assert refusal(breaker).retry_after == 10.0


# --- the budget -------------------------------------------------------------------------------------------------------


def test_after_a_hundred_retries_only_those_refunded_by_responses_are_allowed(breaker: CircuitBreaker) -> None:
    def retry() -> bool:
        breaker.note(HOST, LATER)
        allowed = breaker.spend_retry_budget(HOST, pause=0.5, forced=False)
        breaker.note(HOST, FINE)
        return allowed

    allowed = [retry() for _ in range(1000)]
    # Every failure is followed by a response, which refunds a fifth of the next retry.
    assert all(allowed[:124])
    assert sum(allowed) == (CAPACITY + 999) // 5
    assert not all(allowed[-5:])


def test_a_retry_after_a_timeout_costs_twice_as_much(breaker: CircuitBreaker) -> None:
    for timed_out, left in ((False, 495), (True, 485)):
        breaker.note(HOST, LATER, timed_out=timed_out)
        assert breaker.spend_retry_budget(HOST, pause=0.5, forced=False)
        assert breaker.state(HOST).budget == left


def test_refunds_never_exceed_the_capacity(breaker: CircuitBreaker) -> None:
    breaker.note(HOST, FINE)
    assert breaker.state(HOST).budget == CAPACITY


def test_forced_retries_are_always_allowed_and_use_up_the_budget(breaker: CircuitBreaker) -> None:
    fail(breaker, 5)
    assert all(breaker.spend_retry_budget(HOST, pause=0.5, forced=True) for _ in range(200))
    assert breaker.state(HOST).budget == 0


def test_a_retry_before_retry_after_is_not_made(breaker: CircuitBreaker) -> None:
    breaker.note(HOST, Response(status=429, headers={"retry-after": "10"}))
    assert not breaker.spend_retry_budget(HOST, pause=9.9, forced=False)
    assert breaker.spend_retry_budget(HOST, pause=10.0, forced=False)


@given(
    st.lists(st.sampled_from(["fail", "time out", "respond", "send", "undecided", "pay"]), max_size=60),
    st.floats(0, 90),
)
def test_budget_and_wait_stay_in_bounds_for_any_sequence_of_events(events: list[str], step: float) -> None:
    state, now = HostState(), 0.0
    for event in events:
        now += step
        state = {
            "fail": state.failed(now),
            "time out": state.failed(now, timed_out=True),
            "respond": state.answered(),
            "send": state.asked(now),
            "undecided": state.undecided(),
            "pay": state.charged(),
        }[event]
        assert 0 <= state.budget <= CAPACITY
        assert 0 <= state.wait(now) <= circuit_breaker.MAX_BREAK
        assert state.wait(now) == 0 or state.broken
        assert state.answered().wait(now) == 0


# --- a caller's attempts ----------------------------------------------------------------------------------------------


class Caller:
    """Calls the host like `freshkey._http.client.send`, with scripted responses."""

    def __init__(self, *answers: Response | Exception) -> None:
        self.answers = list(answers)
        self.sent = 0

    def __call__(self) -> Response:
        guarded = circuit_breaker.current()
        assert guarded is not None
        guarded.begin(HOST)
        self.sent += 1
        answer = self.answers.pop(0) if self.answers else LATER
        guarded.end(HOST, answer, timed_out=False)
        if isinstance(answer, Exception):
            raise answer
        return answer


class PassingClock(ManualClock):
    """A clock that advances when something waits for it."""

    def wait(self, event: threading.Event, timeout: float) -> bool:
        self.advance(timeout)
        return event.is_set()


def guarded(breaker: CircuitBreaker, caller: Caller, *, forced: bool = False) -> Response:
    return call_with_retry(
        caller,
        Policy(),
        clock=breaker.clock,
        random=lambda: 1.0,
        stop=lambda: False,
        guarded=GuardedCall(breaker, forced=forced),
    )


@pytest.fixture
def passing() -> CircuitBreaker:
    return CircuitBreaker(PassingClock())


def test_thirty_callers_of_a_dead_host_send_five_requests_in_total(passing: CircuitBreaker) -> None:
    callers = [Caller() for _ in range(30)]
    for caller in callers:
        with pytest.raises(TransientError):
            guarded(passing, caller)
    assert sum(caller.sent for caller in callers) == 5


def test_a_paused_caller_fails_at_once_with_the_time_to_wait(passing: CircuitBreaker) -> None:
    fail(passing, 5)
    caller, before = Caller(FINE), passing.clock.elapsed()
    with raises_code(HostPaused, "host-paused") as caught:
        guarded(passing, caller)
    assert (caller.sent, caught.value.retry_after) == (0, 5.0)
    assert passing.clock.elapsed() == before


def test_the_failure_that_opens_the_breaker_is_raised_itself(passing: CircuitBreaker) -> None:
    fail(passing, 4)
    failure = TransientError("no route")
    caller, last = Caller(failure), passing.clock.elapsed()
    with pytest.raises(TransientError) as caught:
        guarded(passing, caller)
    assert caught.value is failure
    assert (caller.sent, passing.clock.elapsed()) == (1, last)


def test_a_retry_waits_for_retry_after_and_then_succeeds(passing: CircuitBreaker) -> None:
    caller = Caller(Response(status=200, headers={}))
    patient = Caller(TransientError("busy", retry_after=10.0), FINE)
    passing.note(HOST, Response(status=429, headers={"retry-after": "10"}))
    with raises_code(HostPaused, "host-paused"):
        guarded(passing, caller)
    assert guarded(passing, patient, forced=True) is FINE
    assert patient.sent == 2


def test_a_user_action_ignores_the_pause(passing: CircuitBreaker) -> None:
    fail(passing, 5)
    assert guarded(passing, Caller(FINE), forced=True) is FINE
    assert guarded(passing, Caller(FINE)) is FINE


def test_a_lost_response_is_retried_even_if_the_host_is_paused(passing: CircuitBreaker) -> None:  # ROT-6
    fail(passing, 4)
    caller = Caller(LOST, LOST, FINE)
    assert guarded(passing, caller) is FINE
    assert caller.sent == 3


def test_an_empty_budget_still_allows_every_first_attempt(passing: CircuitBreaker) -> None:
    while passing.spend_retry_budget(HOST, pause=0.0, forced=False):
        pass
    caller = Caller(LATER, FINE)
    with pytest.raises(TransientError) as caught:
        guarded(passing, caller)
    assert caught.value is LATER
    assert caller.sent == 1
    assert guarded(passing, Caller(FINE)) is FINE


def test_calls_that_reach_no_host_are_retried_as_usual(passing: CircuitBreaker) -> None:
    calls: list[int] = []

    def call() -> int:
        calls.append(1)
        raise LATER

    with pytest.raises(TransientError):
        call_with_retry(
            call, Policy(), clock=passing.clock, random=lambda: 0.0, stop=lambda: False, guarded=GuardedCall(passing)
        )
    assert len(calls) == Policy().attempts


def test_a_guarded_call_is_limited_to_its_block_and_thread(breaker: CircuitBreaker) -> None:
    mine, seen = GuardedCall(breaker), []
    with guarding(mine):
        assert circuit_breaker.current() is mine
        thread = threading.Thread(target=lambda: seen.append(circuit_breaker.current()))
        thread.start()
        thread.join()
    assert circuit_breaker.current() is None
    assert seen == [None]


def test_a_forked_child_gets_a_new_lock(tmp_path: Path) -> None:
    keeper = Keeper(configuration=Configuration.of({}, state_dir=tmp_path))
    fail(keeper._runtime.breaker, 5)
    keeper._runtime.breaker._mutex.acquire()
    keeper.after_fork()
    refusal(keeper._runtime.breaker)
