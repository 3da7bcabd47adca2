"""A call of botocore's on a thread of its own: its answer, its error, and no thread."""

from __future__ import annotations

import pytest

from freshkey.errors import ProviderRefused, TransientError
from freshkey_bedrock.deadline import call_with_deadline


def test_what_is_raised_on_the_thread_is_raised_here_and_a_thread_may_be_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise ProviderRefused("no")

    with pytest.raises(ProviderRefused, match="no"):
        call_with_deadline(5, fail, "nothing came")
    assert call_with_deadline(5, lambda: 7, "nothing came") == 7

    def refuse(_self: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
    with pytest.raises(TransientError, match="no thread"):
        call_with_deadline(5, lambda: 7, "nothing came")
