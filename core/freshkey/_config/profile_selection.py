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


@frozen(kw_only=True)
class Place:
    """A place that may name a profile.

    Attributes:
        title: What a person calls it.
        look: Returns what it says, or None; may read a file.
    """

    title: str
    look: Callable[[], Selection | None]


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
    return next((found for place in places if (found := place.look()) is not None), None)


def choices(places: Sequence[Place]) -> tuple[Choice, ...]:
    """Return the whole walk. A place behind the one that counts may be unreadable: that is part of the answer.

    Raises:
        FreshkeyError: A place before it is.
    """
    winner = ""
    walk = []
    for place in places:
        found = None
        try:
            found = place.look()
            why = "names none" if found is None else f"{winner} comes first" if winner else found.selected_by
        except FreshkeyError as error:
            if not winner:
                raise
            why = str(error)
        wins = found is not None and not winner
        walk.append(Choice(place=place.title, found=found.name if found else None, wins=wins, why=why))
        winner = place.title if wins else winner
    return tuple(walk)
