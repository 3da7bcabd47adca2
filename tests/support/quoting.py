"""Finds out whether an error, or a crash report of it, quotes external data."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from hypothesis import strategies as st

from freshkey.errors import FreshkeyError


WINDOW = 8
"""Number of consecutive characters that count as a quotation."""

CANARIES = st.text("0123456789abcdefABCDEF-_.~", min_size=WINDOW, max_size=64).filter(
    lambda text: all(any(map(str.isdigit, part)) for part in _windows(text)) and any(map(str.isalpha, text))
)
"""Token-like strings with a digit in every eight characters, unlike any word of a message."""


def _windows(text: str) -> Iterator[str]:
    return (text[start : start + WINDOW] for start in range(len(text) - WINDOW + 1))


def quotes(shown: str, canary: str) -> bool:
    """Return whether `shown` contains eight consecutive characters of `canary` that include a digit.

    Without the digit, hypothesis, which also uses constants from source code, would generate words of the message.
    """
    return any(part in shown for part in _windows(canary) if any(map(str.isdigit, part)))


def outcome(act: Callable[[], object]) -> object:
    """Return what `act` returns, or the freshkey error that it raises; any other exception is a failure."""
    try:
        return act()
    except FreshkeyError as error:
        return error


def everything_said(error: FreshkeyError) -> str:
    """Return everything that a crash report with local variables shows of an error, without frames of tests."""
    ours: TracebackType | None = error.__traceback__
    while ours is not None and "tests" in Path(ours.tb_frame.f_code.co_filename).parts:
        ours = ours.tb_next
    shown = traceback.TracebackException(type(error), error, ours, capture_locals=True)
    return "".join([*shown.format(), str(error), repr(error), repr(error.args), str(vars(error))])
