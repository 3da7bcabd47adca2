"""Hosts that fail are spared: breaker, budget of retries, and what they ask for themselves (NET-4, NET-3)."""

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
from freshkey._http import circuit_breaker, messages
from freshkey._http import client as http_client
from freshkey._http.circuit_breaker import CAPACITY, CircuitBreaker, GuardedCall, HostPaused, HostState, guarding
from freshkey._http.messages import Response
from freshkey._renewal.retry import Policy, call_with_retry
from freshkey.errors import ConfigurationError, OutcomeUnknown, ProtocolError, ProviderRefused, TransientError
from freshkey_testing import AuthorizationServer, ManualClock


HOST = "auth.example.com"
FINE = Response(status=200, headers={})
LATER = TransientError("later")
LOST = OutcomeUnknown("no answer")


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
    with pytest.raises(HostPaused) as caught:
        breaker.allow(host)
    return caught.value


# --- the breaker ------------------------------------------------------------------------------------------------------


def test_four_failures_in_a_row_change_nothing_and_the_fifth_does(breaker: CircuitBreaker) -> None:
    fail(breaker, 4)
    breaker.allow(HOST)
    fail(breaker, 1)
    assert refusal(breaker).retry_after == 5.0


def test_two_servers_of_one_machine_are_two_hosts(breaker: CircuitBreaker) -> None:
    with AuthorizationServer() as alive, socket.create_server(("127.0.0.1", 0)) as bound:
        dead = f"http://127.0.0.1:{bound.getsockname()[1]}/"
        bound.close()
        with guarding(GuardedCall(breaker)):
            for _ in range(circuit_breaker.FAILURES_TO_OPEN):
                with pytest.raises(TransientError, match="nothing could be sent"):
                    http_client.send(messages.Request(method="GET", url=dead), allow_insecure_loopback=True)
            with pytest.raises(HostPaused):
                http_client.send(messages.Request(method="GET", url=dead), allow_insecure_loopback=True)
            answer = http_client.send(
                messages.Request(method="GET", url=alive.urls.resource), allow_insecure_loopback=True
            )
    assert answer.status == HTTPStatus.UNAUTHORIZED


def test_an_answer_in_between_starts_the_count_anew(breaker: CircuitBreaker) -> None:
    fail(breaker, 4)
    breaker.note(HOST, FINE)
    fail(breaker, 4)
    breaker.allow(HOST)


def test_each_host_has_a_count_of_its_own(breaker: CircuitBreaker) -> None:
    fail(breaker, 5)
    breaker.allow("other.example.com")
    breaker.allow(f"{HOST}:8443")


def test_the_refusal_says_until_when_and_why(breaker: CircuitBreaker, clock: ManualClock) -> None:
    fail(breaker, 5)
    assert refusal(breaker).message == f"{HOST} is left alone until 00:00:05 UTC: it failed 5 times in a row"
    clock.advance(3.5)
    refused = refusal(breaker)
    assert refused.retry_after == 1.5
    assert refused.hint == "Try again in 2 s"


def test_after_the_break_one_request_goes_out_and_the_others_wait_for_it(
    breaker: CircuitBreaker, clock: ManualClock
) -> None:
    fail(breaker, 5)
    clock.advance(5.0)
    breaker.allow(HOST)
    assert refusal(breaker).retry_after == 1.0
    breaker.note(HOST, FINE)
    breaker.allow(HOST)
    breaker.allow(HOST)


def test_breaks_double_up_to_a_minute_and_begin_anew_after_an_answer(
    breaker: CircuitBreaker, clock: ManualClock
) -> None:
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


def test_failures_that_were_under_way_together_make_one_break(breaker: CircuitBreaker) -> None:
    fail(breaker, 30)
    assert refusal(breaker).retry_after == 5.0


def test_a_probe_of_which_nothing_is_heard_is_forgotten(breaker: CircuitBreaker, clock: ManualClock) -> None:
    fail(breaker, 5)
    clock.advance(5.0)
    breaker.allow(HOST)
    clock.advance(59.0)
    refusal(breaker)
    clock.advance(1.0)
    breaker.allow(HOST)
    refusal(breaker)


@pytest.mark.parametrize("answer", [ProviderRefused("certificate"), ConfigurationError("proxy")], ids=str)
def test_what_tells_nothing_of_the_host_lets_the_next_one_probe(
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
        ProtocolError("odd"),
        *(Response(status=code, headers={}) for code in (408, 429, 500, 502, 503, 504)),
    ],
    ids=lambda answer: str(getattr(answer, "status", type(answer).__name__)),
)
def test_what_counts_as_a_failure(breaker: CircuitBreaker, answer: Response | Exception) -> None:
    for _ in range(5):
        breaker.note(HOST, answer)
    refusal(breaker)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404])
def test_a_refusal_is_an_answer(breaker: CircuitBreaker, status: int) -> None:
    fail(breaker, 4)
    breaker.note(HOST, Response(status=status, headers={}))
    fail(breaker, 4)
    breaker.allow(HOST)


def test_one_line_is_logged_when_it_opens_and_one_when_it_closes(
    breaker: CircuitBreaker, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fail(breaker, 30)
    clock.advance(5.0)
    breaker.allow(HOST)
    fail(breaker, 1)
    assert [record.message for record in caplog.records] == [
        f"{HOST} failed 5 times in a row and is left alone for a while"
    ]
    breaker.note(HOST, FINE)
    breaker.note(HOST, FINE)
    assert [record.message for record in caplog.records][1:] == [f"{HOST} answers again"]


# --- what the host asks for -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "wait"),
    [("10", 10.0), ("Thu, 01 Jan 2026 00:00:20 GMT", 20.0), ("1000000000", 3600.0)],
    ids=["seconds", "date", "for ever"],
)
def test_retry_after_holds_for_every_caller(
    breaker: CircuitBreaker, clock: ManualClock, asked: str, wait: float
) -> None:  # NET-3
    breaker.note(HOST, Response(status=429, headers={"retry-after": asked}))
    assert refusal(breaker).retry_after == wait
    assert "it asked for that" in refusal(breaker).message
    clock.advance(wait)
    breaker.allow(HOST)


@pytest.mark.parametrize("asked", ["-5", "NaN", "1e9", "soon", "", "0", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_junk_and_the_past_hold_nobody_up(breaker: CircuitBreaker, asked: str) -> None:  # NET-3
    breaker.note(HOST, Response(status=429, headers={"retry-after": asked}))
    breaker.allow(HOST)


def test_an_answer_to_somebody_else_does_not_end_a_pause_that_was_asked_for(breaker: CircuitBreaker) -> None:
    breaker.note(HOST, Response(status=429, headers={"retry-after": "10"}))
    breaker.note(HOST, FINE)
    assert refusal(breaker).retry_after == 10.0


def test_a_shorter_wish_does_not_shorten_a_longer_one(breaker: CircuitBreaker) -> None:
    for asked in ("10", "2"):
        breaker.note(HOST, Response(status=429, headers={"retry-after": asked}))
    assert refusal(breaker).retry_after == 10.0


# --- the budget -------------------------------------------------------------------------------------------------------


def test_a_hundred_retries_and_then_only_as_many_as_answers_paid_for(breaker: CircuitBreaker) -> None:
    def retry() -> bool:
        breaker.note(HOST, LATER)
        allowed = breaker.spend_retry_budget(HOST, pause=0.5, forced=False)
        breaker.note(HOST, FINE)
        return allowed

    allowed = [retry() for _ in range(1000)]
    # Every failure is followed by an answer, which pays for a fifth of the next retry.
    assert all(allowed[:124])
    assert sum(allowed) == (CAPACITY + 999) // 5
    assert not all(allowed[-5:])


def test_a_retry_after_a_time_out_costs_twice_as_much(breaker: CircuitBreaker) -> None:
    for timed_out, left in ((False, 495), (True, 485)):
        breaker.note(HOST, LATER, timed_out=timed_out)
        assert breaker.spend_retry_budget(HOST, pause=0.5, forced=False)
        assert breaker.state(HOST).budget == left


def test_answers_never_save_up_more_than_the_capacity(breaker: CircuitBreaker) -> None:
    breaker.note(HOST, FINE)
    assert breaker.state(HOST).budget == CAPACITY


def test_what_is_forced_is_paid_for_as_far_as_possible_and_never_refused(breaker: CircuitBreaker) -> None:
    fail(breaker, 5)
    assert all(breaker.spend_retry_budget(HOST, pause=0.5, forced=True) for _ in range(200))
    assert breaker.state(HOST).budget == 0


def test_a_retry_that_would_come_too_early_is_not_made(breaker: CircuitBreaker) -> None:
    breaker.note(HOST, Response(status=429, headers={"retry-after": "10"}))
    assert not breaker.spend_retry_budget(HOST, pause=9.9, forced=False)
    assert breaker.spend_retry_budget(HOST, pause=10.0, forced=False)


@given(
    st.lists(st.sampled_from(["fail", "time out", "answer", "ask", "undecided", "pay"]), max_size=60), st.floats(0, 90)
)
def test_no_course_of_events_leaves_the_bounds(course: list[str], step: float) -> None:
    state, now = HostState(), 0.0
    for what in course:
        now += step
        state = {
            "fail": state.failed(now),
            "time out": state.failed(now, timed_out=True),
            "answer": state.answered(),
            "ask": state.asked(now),
            "undecided": state.undecided(),
            "pay": state.charged(),
        }[what]
        assert 0 <= state.budget <= CAPACITY
        assert 0 <= state.wait(now) <= circuit_breaker.MAX_BREAK
        assert state.wait(now) == 0 or state.broken
        assert state.answered().wait(now) == 0


# --- a caller's attempts ----------------------------------------------------------------------------------------------


class Caller:
    """Calls the host as `freshkey._http.client.send` does, and gets one answer after the other."""

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
    """A clock that is moved by waiting for it."""

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


def test_thirty_callers_at_a_dead_host_do_not_ask_four_times_each(passing: CircuitBreaker) -> None:
    callers = [Caller() for _ in range(30)]
    for caller in callers:
        with pytest.raises(TransientError):
            guarded(passing, caller)
    assert sum(caller.sent for caller in callers) == 5


def test_who_is_refused_learns_so_at_once_and_is_told_how_long_to_wait(passing: CircuitBreaker) -> None:
    fail(passing, 5)
    caller, before = Caller(FINE), passing.clock.elapsed()
    with pytest.raises(HostPaused) as caught:
        guarded(passing, caller)
    assert (caller.sent, caught.value.retry_after) == (0, 5.0)
    assert passing.clock.elapsed() == before


def test_the_failure_that_opens_the_breaker_is_the_one_that_is_raised(passing: CircuitBreaker) -> None:
    fail(passing, 4)
    caller, last = Caller(TransientError("no route")), passing.clock.elapsed()
    with pytest.raises(TransientError, match="no route"):
        guarded(passing, caller)
    assert (caller.sent, passing.clock.elapsed()) == (1, last)


def test_a_caller_waits_as_long_as_it_was_asked_to_and_then_gets_through(passing: CircuitBreaker) -> None:
    caller = Caller(Response(status=200, headers={}))
    patient = Caller(TransientError("busy", retry_after=10.0), FINE)
    passing.note(HOST, Response(status=429, headers={"retry-after": "10"}))
    with pytest.raises(HostPaused):
        guarded(passing, caller)
    assert guarded(passing, patient, forced=True) is FINE
    assert patient.sent == 2


def test_a_person_is_not_held_up(passing: CircuitBreaker) -> None:
    fail(passing, 5)
    assert guarded(passing, Caller(FINE), forced=True) is FINE
    assert guarded(passing, Caller(FINE)) is FINE


def test_a_lost_answer_is_asked_for_again_although_the_host_is_left_alone(passing: CircuitBreaker) -> None:  # ROT-6
    fail(passing, 4)
    caller = Caller(LOST, LOST, FINE)
    assert guarded(passing, caller) is FINE
    assert caller.sent == 3


def test_an_empty_budget_leaves_every_caller_its_first_attempt(passing: CircuitBreaker) -> None:
    while passing.spend_retry_budget(HOST, pause=0.0, forced=False):
        pass
    caller = Caller(LATER, FINE)
    with pytest.raises(TransientError, match="later"):
        guarded(passing, caller)
    assert caller.sent == 1
    assert guarded(passing, Caller(FINE)) is FINE


def test_calls_that_reach_no_host_are_retried_as_ever(passing: CircuitBreaker) -> None:
    calls: list[int] = []

    def call() -> int:
        calls.append(1)
        raise LATER

    with pytest.raises(TransientError):
        call_with_retry(
            call, Policy(), clock=passing.clock, random=lambda: 0.0, stop=lambda: False, guarded=GuardedCall(passing)
        )
    assert len(calls) == Policy().attempts


def test_a_visit_ends_with_its_block_and_belongs_to_its_thread(breaker: CircuitBreaker) -> None:
    mine, seen = GuardedCall(breaker), []
    with guarding(mine):
        assert circuit_breaker.current() is mine
        thread = threading.Thread(target=lambda: seen.append(circuit_breaker.current()))
        thread.start()
        thread.join()
    assert circuit_breaker.current() is None
    assert seen == [None]


def test_a_forked_child_gets_a_lock_that_somebody_opens(tmp_path: Path) -> None:
    keeper = Keeper(configuration=Configuration.of({}, state_dir=tmp_path))
    fail(keeper._runtime.breaker, 5)
    keeper._runtime.breaker._mutex.acquire()
    keeper.after_fork()
    refusal(keeper._runtime.breaker)
