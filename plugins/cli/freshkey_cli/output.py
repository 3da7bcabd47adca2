"""Printing: results on stdout, everything else on stderr, as text or as JSON."""

from __future__ import annotations

import errno
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, TextIO

from freshkey import admin
from freshkey.errors import subject
from freshkey_cli.exits import UnwritableError, UsageError, code_of
from freshkey_cli.streams import is_terminal


if TYPE_CHECKING:
    from freshkey.errors import FreshkeyError


_MAX_LINE: Final = 20_000
"""Maximum characters of a line for people: the URL of a sign-in has a few thousand."""


def clean(text: str) -> str:
    """Return one line of text as a terminal may show it: with visible characters only."""
    return admin.visible(text, _MAX_LINE)


class Output:
    """The output of one run.

    Every line for people is cleaned here, and nowhere else: what a name, a server or a plugin put into it cannot
    control the terminal, hide, or begin another line. Only a credential is printed as it is (`exact`), and JSON, which
    escapes what is not visible.

    Args:
        as_json: Results and errors are JSON objects; progress is not printed.
        stdout: Where results go.
        stderr: Where everything else goes.
    """

    def __init__(self, *, as_json: bool = False, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        self.as_json = as_json
        self._stdout = stdout
        self._stderr = stderr

    @property
    def stdout(self) -> TextIO:
        """Where results go."""
        return self._stdout or sys.stdout

    @property
    def stderr(self) -> TextIO:
        """Where everything else goes."""
        return self._stderr or sys.stderr

    def result(self, value: Mapping[str, object], lines: Iterable[str], *, exact: bool = False) -> None:
        """Print the result of a command.

        Args:
            value: The result for programs.
            lines: The result as text, line by line.
            exact: The text is a credential, for a program to read: it is not cleaned.
        """
        with self._writing():
            if self.as_json:
                print(_json(value, indent=2), file=self.stdout)
            else:
                for line in lines:
                    print(line if exact else clean(line), file=self.stdout)

    def line(self, text: str) -> None:
        """Print one line on stdout immediately."""
        with self._writing():
            print(clean(text), file=self.stdout)

    @contextmanager
    def live_line(self) -> Iterator[Callable[[str], None] | None]:
        """Yield a function that replaces the line it last showed; None with JSON or if stdout is not a terminal."""
        if self.as_json or not is_terminal(self.stdout):
            yield None
            return
        from rich.console import Console
        from rich.live import Live

        with Live(console=Console(file=self.stdout, markup=False, highlight=False), auto_refresh=False) as live:
            yield lambda text: live.update(clean(text), refresh=True)

    def table(self, value: Mapping[str, object], header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a result as a table."""
        cleaned = [[clean(cell) for cell in row] for row in rows]
        if not self.as_json and is_terminal(self.stdout):
            with self._writing():
                _print_rich(self.stdout, header, cleaned)
            return
        self.result(value, _aligned([header, *cleaned]))

    def finish(self) -> None:
        """Flush what was printed without this class, such as a help text; raises what `result` raises."""
        with self._writing():
            pass

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Write a result and flush it: a failure must show up here, where it is handled, and not at interpreter exit.

        Raises:
            BrokenPipeError: The reader is gone.
            UnwritableError: The output cannot be written.
        """
        try:
            yield
            self.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            if sys.platform == "win32" and error.errno == errno.EINVAL:  # what a pipe without a reader gives there
                raise BrokenPipeError from None
            raise UnwritableError(f"cannot write the output: {error.strerror or type(error).__name__}") from None

    def say(self, *lines: str) -> None:
        """Print a message that is not a result, except with ``--json``."""
        if not self.as_json:
            self.instruct(*lines)

    def instruct(self, *lines: str) -> None:
        """Print an instruction to the user, even with ``--json``.

        A line break inside of a line is not one: it would let text of others begin a line of its own. If stderr is
        closed or full, the result is still printed.
        """
        with suppress(OSError):
            print("\n".join(map(clean, lines)), file=self.stderr, flush=True)

    def error(self, error: FreshkeyError) -> None:
        """Print an error and its hint; with ``--json`` as an object on one line."""
        if self.as_json:
            with suppress(OSError):
                print(_json({"error": _error_fields(error)}), file=self.stderr, flush=True)
        elif isinstance(error, UsageError):
            hint = [error.hint] if error.hint else []
            self.instruct(*error.usage.rstrip().splitlines(), f"freshkey: {admin.masked(error.message)}", *hint)
        else:
            self.instruct(f"freshkey: {admin.masked(_on_one_line(error))}")
        self._tracebacks(error)

    def _tracebacks(self, error: FreshkeyError) -> None:
        """Print what the plugin raised, if freshkey is told to show that; with ``--json`` it is in the object."""
        if not self.as_json:
            for note in admin.notes_of(error):
                self.instruct(*map(admin.masked, note.splitlines()))


def _json(value: object, indent: int | None = None) -> str:
    """Return valid JSON in ASCII, with everything that is not visible as an escape."""
    # DEL is the only control character that the encoder leaves.
    return json.dumps(_encodable(value), indent=indent, allow_nan=False).replace("\x7f", "\\u007f")


def _encodable(value: object) -> object:
    """Return a value without what JSON cannot express: infinity, and half of a character."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_encodable(name): _encodable(member) for name, member in value.items()}
    return [_encodable(member) for member in value] if isinstance(value, list | tuple) else value


def _on_one_line(error: FreshkeyError) -> str:
    """Return `str(error)` with the code before the hint, because hints end in a command that gets copied."""
    whose = f"{subject(error.profile, error.account)}: " if error.profile else ""
    # See docs/decisions.md, "The code is printed between message and hint".
    return f"{whose}{error.message} [{error.code}]" + (f". {error.hint}" if error.hint else "")


def _error_fields(error: FreshkeyError) -> dict[str, object]:
    fields: dict[str, object] = {
        "code": error.code,
        "kind": type(error).__name__,
        "profile": error.profile and admin.masked(error.profile),
        **({} if error.account is None else {"account": admin.masked(error.account)}),
        "message": admin.masked(error.message),
        "hint": error.hint and admin.masked(error.hint),
        "exit_code": code_of(error),
    }
    if notes := admin.notes_of(error):
        fields["traceback"] = [admin.masked(line) for note in notes for line in note.splitlines()]
    retry_after = getattr(error, "retry_after", None)
    return fields if retry_after is None else {**fields, "retry_after": retry_after}


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _print_rich(stdout: TextIO, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*header, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))  # Text: brackets in a name are not markup
    Console(file=stdout).print(table)
