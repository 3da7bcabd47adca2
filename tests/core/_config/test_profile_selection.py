"""Profile selection: the first place that names a profile wins, and later places need not be readable."""

from __future__ import annotations

from freshkey._config.profile_selection import Choice, Place, Selection, choices, choose
from freshkey.errors import ConfigurationError
from raises_code import raises_code


def saying(title: str, name: str | None) -> Place:
    found = Selection(name=name, selected_by=f"said by {title}") if name else None
    return title, lambda: found


def unreadable() -> Selection:
    raise ConfigurationError("the file is broken", code="invalid-toml")


BROKEN: Place = ("broken", unreadable)


def test_first_place_that_names_a_profile_wins() -> None:
    assert choose([saying("a", None), saying("b", "x"), saying("c", "y"), BROKEN]) == Selection(
        name="x", selected_by="said by b"
    )
    assert choose([saying("a", None)]) is None


def test_places_before_the_selecting_one_must_be_readable() -> None:
    for walk in (choose, choices):
        with raises_code(ConfigurationError, "invalid-toml"):
            walk([saying("a", None), BROKEN, saying("c", "y")])


def test_choices_explain_every_place() -> None:
    assert choices([saying("a", None), saying("b", "x"), saying("c", "y"), saying("d", None), BROKEN]) == (
        Choice(place="a", found=None, wins=False, why="not set"),
        Choice(place="b", found="x", wins=True, why="said by b"),
        Choice(place="c", found="y", wins=False, why="overridden by b"),
        Choice(place="d", found=None, wins=False, why="not set"),
        Choice(place="broken", found=None, wins=False, why="the file is broken"),
    )


def test_key_in_the_place_of_a_profile_is_not_shown() -> None:
    places = [saying("a", "x"), saying("b", "hT7-kkq9-Zr4vB2xLp8QwNn3")]
    assert [one.found for one in choices(places)] == ["x", "(not shown)"]
