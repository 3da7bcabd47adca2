"""What the demonstration shows: lines, and a countdown that moves where the terminal can do that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Final, Protocol


if TYPE_CHECKING:
    from freshkey import Secret

    Update = Callable[[float, str, int], None]

PLAIN_PAUSE: Final = 2.0
"""Seconds of countdown between two plain lines."""

_BAR_WIDTH: Final = 20


class Output(Protocol):
    """What of the command line's output the demonstration uses; it cleans what it prints of control characters."""

    @property
    def as_json(self) -> bool:
        """Whether nothing but the result is printed."""

    def line(self, text: str) -> None:
        """Print one line on standard output."""

    def live_line(self) -> AbstractContextManager[Callable[[str], None] | None]:
        """Give what shows a line in place of its last one, or None where that cannot be."""

    def result(self, value: Mapping[str, object], lines: Iterable[str]) -> None:
        """Print the result, for programs or for people."""


class Context(Protocol):
    """What of a command's context the demonstration uses."""

    @property
    def out(self) -> Output:
        """Where to print."""


def ending(secret: Secret | None) -> str:
    """Return what tells one token from another: its last four characters."""
    return f"…{secret.last_four()}" if secret is not None and secret.last_four() else "(hidden)"


class View:
    """Shows what happens on standard output; with ``--json`` nothing but the result is shown.

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
        """Show the time left until it is done; the update takes seconds left, token and renewals so far.

        Args:
            whole: Seconds that a new credential has.
        """
        with self._out.live_line() as show:
            if show is None:
                yield _PlainCountdown(self.say)
            else:
                yield lambda left, token, renewals: show(_bar(left, whole, token, renewals))


class _PlainCountdown:
    """Prints a line at each renewal, and every other second in between."""

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
