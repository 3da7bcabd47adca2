"""The demo's output: lines, and a countdown that updates in place if the terminal supports it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Final, Protocol


if TYPE_CHECKING:
    from freshkey import Secret

    Update = Callable[[float, str, int], None]

PLAIN_PAUSE: Final = 2.0
"""Seconds between two lines of the plain countdown."""

_BAR_WIDTH: Final = 20


class Output(Protocol):
    """The part of the command line's output that the demo uses; control characters are removed before printing."""

    @property
    def as_json(self) -> bool:
        """Whether only the result is printed."""

    def line(self, text: str) -> None:
        """Print one line to stdout."""

    def live_line(self) -> AbstractContextManager[Callable[[str], None] | None]:
        """Return a function that replaces the last line it showed, or None if the output does not support that."""

    def result(self, value: Mapping[str, object], lines: Iterable[str]) -> None:
        """Print the result, as JSON or as lines."""


class Context(Protocol):
    """The part of a command's context that the demo uses."""

    @property
    def out(self) -> Output:
        """Where to print."""


def ending(secret: Secret | None) -> str:
    """Return the last four characters of a token, which tell it from other tokens."""
    return f"…{secret.last_four()}" if secret is not None and secret.last_four() else "(hidden)"


class View:
    """Shows progress on stdout; with ``--json`` only the result is printed.

    Args:
        out: Where to print.
    """

    def __init__(self, out: Output) -> None:
        self._out = out

    def say(self, line: str) -> None:
        """Show one line."""
        if not self._out.as_json:
            self._out.line(line)

    @contextmanager
    def countdown(self, whole: float) -> Iterator[Update]:
        """Show the time left while the block runs; the update takes seconds left, token and renewals so far.

        Args:
            whole: Lifetime of a new credential in seconds.
        """
        with self._out.live_line() as show:
            if show is None:
                yield _PlainCountdown(self.say)
            else:
                yield lambda left, token, renewals: show(_bar(left, whole, token, renewals))


class _PlainCountdown:
    """Prints a line at each renewal, and every two seconds in between."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._shown: tuple[int, float] | None = None

    def __call__(self, left: float, token: str, renewals: int) -> None:
        if self._shown is not None:
            last_renewals, last_left = self._shown
            if renewals == last_renewals and last_left - left < PLAIN_PAUSE:
                return
        self._shown = (renewals, left)
        self._say(f"  {left:4.1f} s left  token {token}  renewals {renewals}")


def _bar(left: float, whole: float, token: str, renewals: int) -> str:
    filled = round(_BAR_WIDTH * min(1.0, left / whole))
    return f"  {'#' * filled:.<{_BAR_WIDTH}}  {left:4.1f} s left  token {token}  renewals {renewals}"
