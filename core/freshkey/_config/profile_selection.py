"""Which profile is meant: a walk through the places that may say so, to follow and for people to read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen

from freshkey.errors import FreshkeyError


@frozen(kw_only=True)
class Selection:
    """Which profile is meant, and what said so."""

    name: str
    selected_by: str


Place = tuple[str, Callable[[], Selection | None]]
"""What a person calls a place that may name a profile, and what returns the name there or None; it may read a file."""


@frozen(kw_only=True)
class Choice:
    """One place on the walk.

    Attributes:
        place: What a person calls it.
        found: The profile that it names, or None.
        wins: It is the one that counts.
        why: One phrase: why it counts, or why not.
    """

    place: str
    found: str | None
    wins: bool
    why: str


def choose(places: Sequence[Place]) -> Selection | None:
    """Return what the first place says that says anything; those behind it are not looked at."""
    return next((found for _, look in places if (found := look()) is not None), None)


def choices(places: Sequence[Place]) -> tuple[Choice, ...]:
    """Return the whole walk. A place behind the one that counts may be unreadable: that is part of the answer.

    Raises:
        FreshkeyError: A place before it is.
    """
    winner = ""
    walk = []
    for title, look in places:
        found = None
        try:
            found = look()
            why = "names none" if found is None else f"{winner} comes first" if winner else found.selected_by
        except FreshkeyError as error:
            if not winner:
                raise
            why = str(error)
        wins = found is not None and not winner
        walk.append(Choice(place=title, found=found.name if found else None, wins=wins, why=why))
        winner = title if wins else winner
    return tuple(walk)
