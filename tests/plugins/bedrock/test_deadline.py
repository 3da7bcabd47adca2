"""A botocore call on a separate thread: its result, its error, and failure to start the thread."""

from __future__ import annotations

import pytest

from freshkey.errors import ProviderRefused, TransientError
from freshkey_bedrock.deadline import call_with_deadline
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
