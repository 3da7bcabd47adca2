"""What the command line prints: results on stdout, everything else on stderr, as text or as JSON."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from freshkey_cli.exits import code_of


if TYPE_CHECKING:
    from freshkey.errors import FreshkeyError


class UnwritableError(Exception):
    """Standard output takes nothing more, as on a full disk."""


def clean(text: str) -> str:
    """Return text that a terminal shows and never obeys.

    Names of accounts, messages of providers and the like come from elsewhere: control characters, escape sequences
    and marks that turn the direction of text are made visible.
    """
    return "".join(
        character if unicodedata.category(character) not in {"Cc", "Cf", "Zl", "Zp"} else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


class Output:
    """Prints for one run.

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

    def result(self, value: Mapping[str, object], lines: Iterable[str]) -> None:
        """Print the result of a command.

        Args:
            value: Its form for programs.
            lines: Its form for people.
        """
        with self._writing():
            if self.as_json:
                print(json.dumps(value, indent=2), file=self.stdout)
            else:
                for line in lines:
                    print(line, file=self.stdout)

    def line(self, text: str) -> None:
        """Print one line on stdout at once; nothing in it is obeyed by a terminal."""
        with self._writing():
            print(clean(text), file=self.stdout)

    @contextmanager
    def live_line(self) -> Iterator[Callable[[str], None] | None]:
        """Give what shows a line in place of its last one; None with JSON, or where stdout is not a terminal."""
        if self.as_json or not self.stdout.isatty():
            yield None
            return
        from rich.console import Console
        from rich.live import Live

        with Live(console=Console(file=self.stdout, markup=False, highlight=False), auto_refresh=False) as live:
            yield lambda text: live.update(clean(text), refresh=True)

    def table(self, value: Mapping[str, object], header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a result that is a table."""
        cleaned = [[clean(cell) for cell in row] for row in rows]
        if not self.as_json and self.stdout.isatty():
            with self._writing():
                _print_rich(self.stdout, header, cleaned)
            return
        self.result(value, _aligned([header, *cleaned]))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Write a result; what goes wrong has to show here, where it is handled, and not while the interpreter exits.

        Raises:
            BrokenPipeError: Whoever read it is gone.
            UnwritableError: It cannot be written.
        """
        try:
            yield
            self.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise UnwritableError(error.strerror or type(error).__name__) from None

    def say(self, message: str) -> None:
        """Tell a person something that is no result."""
        if not self.as_json:
            self.instruct(message)

    def instruct(self, message: str) -> None:
        """Tell a person what to do; printed with ``--json`` as well.

        Nothing in it is obeyed by a terminal, and a standard error that is gone or full costs nobody the result.
        """
        with suppress(OSError):
            print("\n".join(map(clean, message.split("\n"))), file=self.stderr, flush=True)

    def error(self, error: FreshkeyError) -> None:
        """Say what went wrong and what to do next; with ``--json`` as an object on one line."""
        if self.as_json:
            self.instruct(json.dumps({"error": _error_fields(error)}))
        else:
            self.instruct(f"freshkey: {clean(str(error))}")  # cleaned as a whole: an error is one line

    def usage_error(self, message: str, usage: str) -> None:
        """Say that the command line cannot be understood."""
        if self.as_json:
            from freshkey_cli.exits import USAGE

            fields = {"kind": "usage", "profile": None, "message": message, "hint": None, "exit_code": USAGE}
            self.instruct(json.dumps({"error": fields}))
        else:
            self.instruct(f"{usage.rstrip()}\nfreshkey: {clean(message)}")


def _error_fields(error: FreshkeyError) -> dict[str, object]:
    fields: dict[str, object] = {
        "kind": type(error).__name__,
        "profile": error.profile,
        "message": error.message,
        "hint": error.hint,
        "exit_code": code_of(error),
    }
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
        table.add_row(*(Text(cell) for cell in row))  # Text: brackets in a name are no markup
    Console(file=stdout).print(table)
