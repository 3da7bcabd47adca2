"""Selects a profile: checks the places that can name one, in order, and explains the result to the user."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen

from freshkey.errors import FreshkeyError
from freshkey.secret import shown_name


@frozen(kw_only=True)
class Selection:
    """The selected profile, and what selected it.

    Attributes:
        name: Name of the profile.
        selected_by: What selected it, for messages.
        is_named: Whether the caller named it; otherwise something else did, such as a variable or a file.
        by_project: Whether a project's file selected it.
        account: The account that was selected with it, or None: only a variable can, as in ``mail/ada``.
    """

    name: str
    selected_by: str
    is_named: bool = False
    by_project: bool = False
    account: str | None = None


Place = tuple[str, Callable[[], Selection | None]]
"""The displayed name of a place that can name a profile, and a function that looks there; it may read a file."""


@frozen(kw_only=True)
class Choice:
    """One of the places that can name a profile.

    Attributes:
        place: Its displayed name.
        found: The profile that it names, or None.
        wins: Whether it selects the profile.
        why: One phrase: why it does, or why not.
    """

    place: str
    found: str | None
    wins: bool
    why: str


def choose(places: Sequence[Place]) -> Selection | None:
    """Return the selection of the first place that names a profile; later places are not read."""
    return next((found for _, look in places if (found := look()) is not None), None)


def choices(places: Sequence[Place]) -> tuple[Choice, ...]:
    """Return every place in order. One that cannot be read after the selecting one is reported, not raised.

    Raises:
        FreshkeyError: A place before the selecting one cannot be read.
    """
    winner = ""
    walk = []
    for title, look in places:
        found = None
        try:
            found = look()
            why = "not set" if found is None else f"overridden by {winner}" if winner else found.selected_by
        except FreshkeyError as error:
            if not winner:
                raise
            why = str(error)
        wins = found is not None and not winner
        name = found.name if found else None
        if name and not wins:  # it is not checked: it may be a key in the wrong variable
            name = shown_name(name) or "(not shown)"
        walk.append(Choice(place=title, found=name, wins=wins, why=why))
        winner = title if wins else winner
    return tuple(walk)
