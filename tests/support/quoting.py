"""Finds out whether an error, or a crash report of it, quotes what somebody sent."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from types import TracebackType

from hypothesis import strategies as st

from freshkey.errors import FreshkeyError


WINDOW = 8
"""Characters in a row that count as a quotation."""

CANARIES = st.text("0123456789abcdefABCDEF-_.~", min_size=WINDOW, max_size=64).filter(
    lambda text: all(any(map(str.isdigit, part)) for part in _windows(text)) and any(map(str.isalpha, text))
)
"""Strings such as tokens are, with a digit in every eight characters: no word of a message looks like one."""


def _windows(text: str) -> Iterator[str]:
    return (text[start : start + WINDOW] for start in range(len(text) - WINDOW + 1))


def quotes(shown: str, canary: str) -> bool:
    """Tell whether eight characters of `canary` in a row, a digit among them, are in `shown`.

    Chance and hypothesis, which reads constants from source code, also come up with words of the message itself.
    """
    return any(part in shown for part in _windows(canary) if any(map(str.isdigit, part)))


def outcome(act: Callable[[], object]) -> object:
    """Return what `act` returns, or the error of freshkey that it raises; any other error is a failure."""
    try:
        return act()
    except FreshkeyError as error:
        return error


def everything_said(error: FreshkeyError) -> str:
    """Return all that a crash report with local variables shows of an error, without the frames of tests."""
    ours: TracebackType | None = error.__traceback__
    while ours is not None and "/tests/" in ours.tb_frame.f_code.co_filename:
        ours = ours.tb_next
    shown = traceback.TracebackException(type(error), error, ours, capture_locals=True)
    return "".join([*shown.format(), str(error), repr(error), repr(error.args), str(vars(error))])
