"""A botocore call on a separate thread: its result, its error, and failure to start the thread."""

from __future__ import annotations

import threading

import pytest

from freshkey.errors import ProviderRefused, TransientError
from freshkey_bedrock import deadline
from freshkey_bedrock.deadline import call_with_deadline, ends_by_itself
from raises_code import raises_code


def test_result_or_error_of_the_call_is_passed_on() -> None:
    refused = ProviderRefused("no")

    def fail() -> None:
        raise refused

    with pytest.raises(ProviderRefused) as caught:
        call_with_deadline(5, fail, "no result")
    assert caught.value is refused
    assert call_with_deadline(5, lambda: 7, "no result") == 7


def test_failure_to_start_a_thread_is_temporary(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
    with raises_code(TransientError, "out-of-threads"):
        call_with_deadline(5, lambda: 7, "no result")


@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_a_program_that_missed_the_deadline_is_named_however_long_it_takes_to_end(seconds: float) -> None:
    slow, waited = ProviderRefused("the program took too long"), threading.Event()

    def program() -> None:
        with ends_by_itself():
            waited.wait(seconds + 0.3)
            raise slow

    with pytest.raises(ProviderRefused) as caught:
        call_with_deadline(seconds, program, "no result")
    assert caught.value is slow


def test_a_program_that_does_not_end_is_waited_for_only_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "GRACE", 0.05)
    over = threading.Event()

    def program() -> None:
        with ends_by_itself():
            over.wait(60)

    with raises_code(TransientError, "bedrock-aws-timed-out"):
        call_with_deadline(0.05, program, "no result")
    over.set()


def test_what_follows_a_program_is_limited_by_the_deadline_alone() -> None:
    def program_and_request() -> list[bool]:
        run = threading.current_thread()
        with ends_by_itself():
            within = run.ends_by_itself  # type: ignore[attr-defined]
        return [within, run.ends_by_itself]  # type: ignore[attr-defined]

    assert call_with_deadline(5, program_and_request, "no result") == [True, False]
