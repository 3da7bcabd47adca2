"""Whole tracebacks of what a plugin raised, for its author: without local variables, and without secrets.

They are notes (PEP 678) on the error that freshkey raises in its place, so tests, logs and the command line show them.
See docs/decisions.md, "Tracebacks of plugins are for their authors, and notes".
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from traceback import FrameSummary, StackSummary, TracebackException
from typing import TYPE_CHECKING, Any, Final, TypeVar


if TYPE_CHECKING:
    from freshkey._text.redact import Redactor

E = TypeVar("E", bound=BaseException)

DEBUG: Final = "FRESHKEY_DEBUG"
"""Variable that makes freshkey show whole tracebacks of plugins."""

HINT: Final = f"Set {DEBUG}=1 to see the whole traceback"

BEGIN: Final = "What the plugin raised:"
"""The first line of such a note."""

_CAUSE: Final = "The above exception was the direct cause of the following exception:"
_CONTEXT: Final = "During handling of the above exception, another exception occurred:"
_MAX_CHAIN: Final = 20
_MAX_FRAMES: Final = 100
_DISPATCH: Final = (
    *("/freshkey/_plugins/", "/freshkey/model/credential.py", "/freshkey_cli/commands.py"),
    "/freshkey_testing/provider_contract/hooks.py",
    *("/pluggy/", "<frozen importlib", "/importlib/"),
)
"""Where a plugin is called from, and not what it does."""


def is_debugging() -> bool:
    """Return whether whole tracebacks are wanted."""
    return os.environ.get(DEBUG, "").lower() not in {"", "0", "false", "no"}


def traceback_note(raised: BaseException, redact: Redactor, *, always: bool = False) -> str | None:
    """Return the note for the error that is raised in place of what a plugin raised; None if it is not wanted.

    Args:
        raised: The exception of the plugin, before it is cleaned.
        redact: Removes the secrets that the plugin was given, and those that it made.
        always: Return it, whether it is wanted or not.
    """
    return f"{BEGIN}\n{whole_traceback(raised, redact)}" if always or is_debugging() else None


def add_note(failure: BaseException, note: str | None) -> None:
    """Add a note of `traceback_note` to an error, in place of an earlier one: a plugin may raise one object twice."""
    if note is None:
        return
    earlier = notes_of(failure)
    others = [each for each in _notes(failure) if each not in earlier]
    failure.__notes__ = [*others, note]


def with_note_of(raised: BaseException, failure: E) -> E:
    """Return the error that is raised in place of an exception which may have such a note, with that note."""
    for note in notes_of(raised):
        add_note(failure, note)
    return failure


def whole_traceback(error: BaseException, redact: Redactor) -> str:
    """Return class, message and every frame of an exception, and of its causes, as Python prints them.

    Only texts: source lines, and messages without secrets. Local variables are never read.
    """
    try:
        told = TracebackException.from_exception(error, capture_locals=False, limit=-_MAX_FRAMES)
        return "\n".join(_lines(told, redact, _MAX_CHAIN))
    except Exception as failed:  # noqa: BLE001  a plugin's exception may do anything when it is read
        return f"(a {type(error).__name__} whose traceback cannot be read: {type(failed).__name__})"


def notes_of(error: BaseException) -> list[str]:
    """Return the tracebacks that were added to an error."""
    return [each for each in _notes(error) if isinstance(each, str) and each.startswith(BEGIN)]


def _notes(error: BaseException) -> list[Any]:
    try:
        return list(getattr(error, "__notes__", None) or ())
    except Exception:  # noqa: BLE001  a plugin's exception may do anything when it is read
        return []


def _lines(told: TracebackException, redact: Redactor, left: int) -> Iterator[str]:
    before = told.__cause__ or (None if told.__suppress_context__ else told.__context__)
    if before is not None and left:
        yield from _lines(before, redact, left - 1)
        yield from ("", _CAUSE if told.__cause__ else _CONTEXT, "")
    frames = _of_plugin(told.stack)
    if frames:
        yield "Traceback (most recent call last):"
    for frame in StackSummary.from_list(frames).format():
        yield redact.masked(frame.rstrip("\n"))
    # As one text: a secret may have several lines.
    yield redact.masked("".join(told.format_exception_only()).rstrip("\n"))
    for number, each in enumerate((told.exceptions or ())[:left], start=1):
        yield f"Exception {number} of the group:"
        yield from _lines(each, redact, left - 1)


def _of_plugin(stack: StackSummary) -> list[FrameSummary]:
    """Return the frames from the first on that is not freshkey's way to the plugin."""
    places = [frame.filename.replace("\\", "/") for frame in stack]
    first = next((at for at, place in enumerate(places) if not any(one in place for one in _DISPATCH)), 0)
    return stack[first:]
