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
    winner: Place | None = None
    walk = []
    for place in places:
        try:
            found = place.look()
        except FreshkeyError as error:
            if winner is None:
                raise
            walk.append(Choice(place=place.title, found=None, wins=False, why=str(error)))
            continue
        wins = found is not None and winner is None
        walk.append(Choice(place=place.title, found=found.name if found else None, wins=wins, why=_why(found, winner)))
        winner = place if wins else winner
    return tuple(walk)


def _why(found: Selection | None, winner: Place | None) -> str:
    if found is None:
        return "names none"
    return found.selected_by if winner is None else f"{winner.title} comes first"
