r"""The question whether to trust a project's file: it fits a screen, and shows every character.

What scrolls away is not reviewed, and what looks blank is not seen. So each character that is invisible, looks like
another, or changes how its neighbors are shown is written as its code, ``\u{2800}``; nothing is left out; and what
does not fit a small terminal is not asked at all. See docs/decisions.md, "The trust question fits a screen".
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from freshkey._text.shell_words import shell_joined, shell_quoted
from freshkey._text.visible import spelled_out
from freshkey.errors import TrustNeeded


if TYPE_CHECKING:
    from freshkey._commands.command import Command
    from freshkey._trust.entries import Entry

COLUMNS: Final = 80
ROWS: Final = 22
"""What a question may take of the smallest usual terminal, 80 by 24: it needs a line for the answer, and one before."""

SELECTED: Final = "selected"
"""In place of a setting: the profile is used without being named."""

UNCHECKED: Final = "Anything that programs load or run is not checked."


def width(text: str) -> int:
    """Return how many columns of a terminal visible text takes."""
    return len(text) + sum(unicodedata.east_asian_width(one) in "WF" for one in text if not one.isascii())


def rows(lines: Iterable[str], columns: int = COLUMNS) -> int:
    """Return how many rows of a terminal lines take."""
    return sum(max(1, -(-width(line) // columns)) for line in lines)


def demands(entry: Entry) -> Iterator[tuple[str, str]]:
    """Yield what a file sets for one profile, by setting; every character is visible."""
    if entry.selected:
        yield SELECTED, "when you name no profile"
    for key, value in entry.choices.items():
        yield spelled_out(key), spelled_out(shell_quoted(value))
    for key, command in entry.commands.items():
        yield spelled_out(key), shown(command)


def shown(command: Command) -> str:
    """Return a command and the files that are checked before each run, for the user to review."""
    files = ", ".join(str(file) for file in command.pins)
    return spelled_out(shell_joined(command.argv) + (f" (files: {files})" if files else ""))


def outcome(entries: Sequence[Entry]) -> str:
    """Return what trusting leads to: the names of the programs that would run, or of what would be used."""
    names = [spelled_out(command.name) for entry in entries for command in entry.commands.values()]
    if names:
        return f"run {', '.join(dict.fromkeys(names))}"
    chosen = [spelled_out(value) for entry in entries for value in entry.choices.values()]
    return f"use {', '.join(dict.fromkeys([*chosen, *(spelled_out(entry.profile) for entry in entries)]))}"


def question(entry: Entry, why: str | None = None) -> str:
    """Return the question for the user, on one line: a line break could make an argument look like a command.

    Raises:
        TrustNeeded: It would not fit the screen.
    """
    does = "sets commands that would run as you" if entry.commands else "chooses for you"
    wanted = "; ".join(f"{key} {told}" if key == SELECTED else f"{key} = {told}" for key, told in demands(entry))
    note = f" {UNCHECKED}" if entry.commands else ""
    note += f" Note: {spelled_out(why)}." if why else ""
    asked = (
        f"{spelled_out(str(entry.file))} {does} for profile {spelled_out(entry.profile)!r}: {wanted}."
        f"{note} Trust this file in its current form, and let it {outcome([entry])}?"
    )
    check_fits([asked], entry.file, profile=entry.profile)
    return asked


def check_fits(lines: Iterable[str], file: Path, *, profile: str | None = None) -> None:
    """Check that lines fit the screen.

    Raises:
        TrustNeeded: They do not.
    """
    if rows(lines) > ROWS:
        raise TrustNeeded(
            f"{spelled_out(str(file))[:400]} needs a question that does not fit on one screen, so you are not asked",
            profile=profile,
            hint="Shorten its commands, for example with a script, or review the file and run: freshkey trust --yes"
            f" {shell_quoted(spelled_out(str(file)))[:400]}",
            code="trust-question-too-long",
        )
