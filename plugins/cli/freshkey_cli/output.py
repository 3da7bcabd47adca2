"""Printing: results on stdout, everything else on stderr, as text or as JSON."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from freshkey_cli.exits import UnwritableError, UsageError, code_of


if TYPE_CHECKING:
    from freshkey.errors import FreshkeyError


def clean(text: str) -> str:
    """Return text with everything that a terminal would interpret replaced.

    Account names, provider messages and similar text come from outside: control characters, escape sequences and
    bidirectional marks are replaced with a visible character.
    """
    return "".join(
        character if unicodedata.category(character) not in {"Cc", "Cf", "Zl", "Zp"} else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


class Output:
    """The output of one run.

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
            value: The result for programs.
            lines: The result as text.
        """
        with self._writing():
            if self.as_json:
                print(json.dumps(value, indent=2), file=self.stdout)
            else:
                for line in lines:
                    print(line, file=self.stdout)

    def line(self, text: str) -> None:
        """Print one line on stdout immediately; control characters in it are made visible."""
        with self._writing():
            print(clean(text), file=self.stdout)

    @contextmanager
    def live_line(self) -> Iterator[Callable[[str], None] | None]:
        """Yield a function that replaces the line it last showed; None with JSON or if stdout is not a terminal."""
        if self.as_json or not self.stdout.isatty():
            yield None
            return
        from rich.console import Console
        from rich.live import Live

        with Live(console=Console(file=self.stdout, markup=False, highlight=False), auto_refresh=False) as live:
            yield lambda text: live.update(clean(text), refresh=True)

    def table(self, value: Mapping[str, object], header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a result as a table."""
        cleaned = [[clean(cell) for cell in row] for row in rows]
        if not self.as_json and self.stdout.isatty():
            with self._writing():
                _print_rich(self.stdout, header, cleaned)
            return
        self.result(value, _aligned([header, *cleaned]))

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
            raise UnwritableError(f"cannot write the output: {error.strerror or type(error).__name__}") from None

    def say(self, message: str) -> None:
        """Print a message that is not a result, except with ``--json``."""
        if not self.as_json:
            self.instruct(message)

    def instruct(self, message: str) -> None:
        """Print an instruction to the user, even with ``--json``.

        Control characters in it are made visible. If stderr is closed or full, the result is still printed.
        """
        with suppress(OSError):
            print("\n".join(map(clean, message.split("\n"))), file=self.stderr, flush=True)

    def error(self, error: FreshkeyError) -> None:
        """Print an error and its hint; with ``--json`` as an object on one line."""
        if self.as_json:
            self.instruct(json.dumps({"error": _error_fields(error)}))
        elif isinstance(error, UsageError):
            self.instruct(f"{error.usage.rstrip()}\nfreshkey: {clean(error.message)}")
        else:
            self.instruct(f"freshkey: {clean(_on_one_line(error))}")


def _on_one_line(error: FreshkeyError) -> str:
    """Return `str(error)` with the code before the hint, because hints end in a command that gets copied."""
    subject = f"{error.profile}: " if error.profile else ""
    # See docs/decisions.md, "The code is printed between message and hint".
    return f"{subject}{error.message} [{error.code}]" + (f". {error.hint}" if error.hint else "")


def _error_fields(error: FreshkeyError) -> dict[str, object]:
    fields: dict[str, object] = {
        "code": error.code,
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
        table.add_row(*(Text(cell) for cell in row))  # Text: brackets in a name are not markup
    Console(file=stdout).print(table)
