"""Reading a provider's settings: strict types, and errors that quote nothing."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
from attrs import field, frozen

from freshkey._commands.command import WORDS_FOR_COMMAND, Command
from freshkey._config.provider_settings import WrongValueError, fields, structure
from freshkey.errors import ConfigurationError, PluginBroken
from freshkey.secret import Secret


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@frozen(kw_only=True)
class Inner:
    size: int = 0


@frozen(kw_only=True)
class Settings:
    text: str = ""
    maybe: str | None = None
    flag: bool = False
    count: int = 0
    ratio: float = 0.0
    many: tuple[str, ...] = ()
    numbers: Sequence[int] = ()
    table: Mapping[str, str] = attrs.Factory(dict)
    either: str | list[str] | None = None
    word: Literal["a", "b"] = "a"
    colour: Colour = Colour.RED
    inner: Inner = Inner()
    key: Secret | None = None
    place: Path = Path()
    helper: Command | None = None
    _private: str = ""
    small: int = field(default=0, validator=attrs.validators.lt(10))
    chosen: int = field(default=1, validator=attrs.validators.in_([1, 2]))
    derived: int = field(init=False, default=1)


@pytest.mark.parametrize(
    ("key", "value", "result"),
    [
        ("text", "x", "x"),
        ("maybe", "x", "x"),
        ("flag", True, True),
        ("count", 3, 3),
        ("ratio", 3, 3.0),
        ("many", ["a", "b"], ("a", "b")),
        ("numbers", [1, 2], (1, 2)),
        ("table", {"a": "b"}, {"a": "b"}),
        ("word", "b", "b"),
        ("colour", "blue", Colour.BLUE),
        ("inner", {"size": 2}, Inner(size=2)),
        ("key", "k", Secret("k")),
        ("place", "/x", Path("/x")),
        ("helper", ["op", "read"], Command(argv=("op", "read"))),
        ("helper", Command(argv=("./op",), directory=Path("/x")), Command(argv=("./op",), directory=Path("/x"))),
    ],
)
def test_value_of_the_right_type_is_taken(key: str, value: object, result: object) -> None:
    assert getattr(structure(Settings, {key: value}), key) == result


def test_private_attribute_goes_by_the_name_that_people_write() -> None:
    assert structure(Settings, {"private": "x"}) == Settings(private="x")
    assert "derived" not in fields(Settings)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("text", 5, "a string"),
        ("maybe", 5, "a string"),
        ("flag", "false", "true or false"),
        ("flag", 1, "true or false"),
        ("count", "5", "a whole number"),
        ("count", True, "a whole number"),
        ("count", 1.5, "a whole number"),
        ("ratio", "1", "a number"),
        ("many", "openid", "a list, each item a string"),
        ("many", ["a", 1], "a list, each item a string"),
        ("table", ["a"], "a table"),
        ("table", {"a": 1}, "a table"),
        ("word", "c", "one of: a, b"),
        ("colour", "green", "one of: red, blue"),
        ("inner", 3, "a table"),
        ("key", 3, "a string"),
        ("helper", "op read", WORDS_FOR_COMMAND),
        ("helper", [], WORDS_FOR_COMMAND),
        ("helper", ["op", 1], WORDS_FOR_COMMAND),
        ("helper", ["./op"], WORDS_FOR_COMMAND),
        ("small", 11, "what the provider accepts"),
        ("chosen", 11, "what the provider accepts"),
    ],
)
def test_value_of_the_wrong_type_is_refused_in_words(key: str, value: object, expected: str) -> None:
    with pytest.raises(WrongValueError) as caught:
        structure(Settings, {key: value})

    assert (caught.value.key, caught.value.expected) == (key, expected)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_refused_combination_names_no_key() -> None:
    @frozen
    class Together:
        a: str = ""

        def __attrs_post_init__(self) -> None:
            raise ValueError(self.a)

    with pytest.raises(WrongValueError) as caught:
        structure(Together, {"a": "sk-secret"})

    assert caught.value.key is None
    assert "sk-secret" not in str(caught.value)


def test_error_of_the_contract_passes_through() -> None:
    @frozen
    class Together:
        a: str = ""

        def __attrs_post_init__(self) -> None:
            raise ConfigurationError("give either issuer or token_url")

    with pytest.raises(ConfigurationError, match="give either"):
        structure(Together, {"a": "x"})


@frozen
class Needy:
    a: str


@frozen
class Unresolvable:
    a: Missing = None  # type: ignore[name-defined]  # noqa: F821  that is the point


@frozen
class Unreadable:
    a: complex | bytes | None = None


@pytest.mark.parametrize(
    ("kind", "says"), [(Needy, "no default for 'a'"), (Unresolvable, "NameError"), (dict, "NotAnAttrsClassError")]
)
def test_unusable_settings_class_is_the_plugins_fault(kind: type, says: str) -> None:
    with pytest.raises(PluginBroken, match=says):
        fields(kind)


def test_unreadable_annotation_is_the_plugins_fault() -> None:
    table: dict[str, Any] = {"a": "x"}

    with pytest.raises(PluginBroken, match="'a' cannot be read"):
        structure(Unreadable, table)
