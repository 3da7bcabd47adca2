"""What a plugin raised is shown whole to its author: every frame, every cause, and no secret."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest

from example_provider import CANARY
from freshkey._text.redact import Redactor
from freshkey._text.tracebacks import (
    BEGIN,
    DEBUG,
    add_note,
    is_debugging,
    notes_of,
    traceback_note,
    whole_traceback,
    with_note_of,
)


KEY = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----"


def look_up(answer: dict[str, str]) -> str:
    return answer["access_token"]


def read(answer: dict[str, str], message: str) -> None:
    try:
        look_up(answer)
    except KeyError as error:
        raise ValueError(message) from error


def raised(act: Callable[[], object]) -> BaseException:
    try:
        act()
    except BaseException as error:  # noqa: BLE001  whatever the test raises
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("value", "wanted"), [("1", True), ("yes", True), ("", False), ("0", False), ("false", False), (None, False)]
)
def test_variable_turns_it_on(monkeypatch: pytest.MonkeyPatch, value: str | None, wanted: bool) -> None:
    monkeypatch.delenv(DEBUG, raising=False)
    if value is not None:
        monkeypatch.setenv(DEBUG, value)
    assert is_debugging() is wanted
    note = traceback_note(ValueError("odd"), Redactor(()))
    assert (note is not None) is wanted
    assert traceback_note(ValueError("odd"), Redactor(()), always=True) == f"{BEGIN}\nValueError: odd"


def test_it_has_every_frame_with_its_line_and_every_cause() -> None:
    text = whole_traceback(raised(lambda: read({"token": "x"}, "no token in the answer")), Redactor(()))
    for fact in (
        "KeyError: 'access_token'",
        'return answer["access_token"]',
        "in look_up",
        "raise ValueError(message) from error",
        "ValueError: no token in the answer",
        "direct cause",
        "test_tracebacks.py",
    ):
        assert fact in text


def test_no_secret_and_no_local_variable_is_in_it() -> None:
    answer = {"refresh_token": CANARY, "key": KEY}
    text = whole_traceback(raised(lambda: read(answer, f"odd: {answer} {KEY}")), Redactor([CANARY, KEY]))
    assert "ValueError: odd" in text
    for secret in (CANARY, "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"):
        assert secret not in text


def test_context_is_shown_unless_it_is_suppressed() -> None:
    def act(*, suppress: bool) -> None:
        try:
            look_up({})
        except KeyError:
            if suppress:
                raise ValueError("odd") from None
            raise ValueError("odd")  # noqa: B904  the context is what is tested

    context = "\nKeyError: 'access_token'"
    assert context in whole_traceback(raised(lambda: act(suppress=False)), Redactor(()))
    assert context not in whole_traceback(raised(lambda: act(suppress=True)), Redactor(()))


def test_exceptions_of_a_group_are_shown() -> None:
    text = whole_traceback(ExceptionGroup("both", [ValueError("one"), TypeError(CANARY)]), Redactor([CANARY]))
    assert "ValueError: one" in text
    assert "TypeError: [redacted]" in text


def test_exception_that_cannot_be_read_is_named() -> None:
    class Odd(Exception):
        @property
        def __traceback__(self) -> None:  # type: ignore[override]
            raise RuntimeError(CANARY)

    text = whole_traceback(Odd(), Redactor(()))
    assert text == "(a Odd whose traceback cannot be read: RuntimeError)"


def raises(_: object) -> None:
    raise RuntimeError(CANARY)


@pytest.mark.parametrize("notes", [5, [5, None], property(raises)])
def test_odd_notes_of_an_exception_are_no_obstacle(notes: object) -> None:
    odd = type("Odd", (Exception,), {"__notes__": notes})
    text = whole_traceback(odd("x"), Redactor([CANARY]))
    assert "Odd" in text
    assert CANARY not in text
    failure = with_note_of(odd("x"), ValueError("odd"))
    assert notes_of(failure) == []


def test_note_replaces_an_earlier_one_and_no_other() -> None:
    error = ValueError("odd")
    error.add_note("of somebody else")
    add_note(error, None)
    assert notes_of(error) == []
    for text in ("first", "second"):
        add_note(error, f"{BEGIN}\n{text}")
    assert notes_of(error) == [f"{BEGIN}\nsecond"]
    assert "of somebody else" in "".join(traceback.format_exception(error))
