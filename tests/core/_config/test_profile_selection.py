"""The walk through the places that may name a profile: the first counts, and what is behind it is not needed."""

from __future__ import annotations

import pytest

from freshkey._config.profile_selection import Choice, Place, Selection, choices, choose
from freshkey.errors import ConfigurationError


def saying(title: str, name: str | None) -> Place:
    found = Selection(name=name, selected_by=f"said by {title}") if name else None
    return title, lambda: found


def unreadable() -> Selection:
    raise ConfigurationError("the file is broken")


BROKEN: Place = ("broken", unreadable)


def test_the_first_that_says_anything_counts() -> None:
    assert choose([saying("a", None), saying("b", "x"), saying("c", "y"), BROKEN]) == Selection(
        name="x", selected_by="said by b"
    )
    assert choose([saying("a", None)]) is None


def test_what_is_in_front_must_be_readable() -> None:
    for walk in (choose, choices):
        with pytest.raises(ConfigurationError, match="the file is broken"):
            walk([saying("a", None), BROKEN, saying("c", "y")])


def test_the_whole_walk_says_what_was_found_and_why_it_does_not_count() -> None:
    assert choices([saying("a", None), saying("b", "x"), saying("c", "y"), saying("d", None), BROKEN]) == (
        Choice(place="a", found=None, wins=False, why="names none"),
        Choice(place="b", found="x", wins=True, why="said by b"),
        Choice(place="c", found="y", wins=False, why="b comes first"),
        Choice(place="d", found=None, wins=False, why="names none"),
        Choice(place="broken", found=None, wins=False, why="the file is broken"),
    )
