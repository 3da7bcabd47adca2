"""Reading a provider's settings: strict types, and errors that do not quote values."""

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
from raises_code import raises_code


class Color(enum.Enum):
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
    words: tuple[Literal["a", "b"], ...] = ()
    color: Color = Color.RED
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
        ("color", "blue", Color.BLUE),
        ("inner", {"size": 2}, Inner(size=2)),
        ("key", "k", Secret("k")),
        ("place", "/x", Path("/x")),
        ("helper", ["op", "read"], Command(argv=("op", "read"))),
        ("helper", Command(argv=("./op",), directory=Path("/x")), Command(argv=("./op",), directory=Path("/x"))),
    ],
)
def test_value_of_the_right_type_is_accepted(key: str, value: object, result: object) -> None:
    assert getattr(structure(Settings, {key: value}), key) == result


def test_private_attribute_is_named_without_underscore() -> None:
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
        ("many", "openid", "a list of strings"),
        ("many", ["a", 1], "a list of strings"),
        ("numbers", [1.5], "a list of whole numbers"),
        ("words", ["c"], "a list in which each item is one of: a, b"),
        ("table", ["a"], "a table"),
        ("table", {"a": 1}, "a table"),
        ("word", "c", "one of: a, b"),
        ("color", "green", "one of: red, blue"),
        ("inner", 3, "a table"),
        ("key", 3, "a string"),
        ("helper", "op read", WORDS_FOR_COMMAND),
        ("helper", [], WORDS_FOR_COMMAND),
        ("helper", ["op", 1], WORDS_FOR_COMMAND),
        ("helper", ["./op"], f"{WORDS_FOR_COMMAND}; the program has a relative path"),
        ("helper", ["~/bin/op"], f"{WORDS_FOR_COMMAND}; the program begins with ~, which only a shell replaces"),
        ("helper", ["$HOME/op"], f"{WORDS_FOR_COMMAND}; the program contains a variable, which only a shell replaces"),
        ("helper", ['"/bin/op"'], f"{WORDS_FOR_COMMAND}; the program is in quotes, which only a shell removes"),
        ("small", 11, "less than 10"),
        ("chosen", 11, "one of: 1, 2"),
    ],
)
def test_value_of_the_wrong_type_is_rejected_with_what_is_allowed(key: str, value: object, expected: str) -> None:
    with pytest.raises(WrongValueError) as caught:
        structure(Settings, {key: value})

    assert (caught.value.key, caught.value.expected) == (key, expected)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_rejected_combination_names_no_key() -> None:
    @frozen
    class Together:
        a: str = ""

        def __attrs_post_init__(self) -> None:
            raise ValueError(self.a)

    with pytest.raises(WrongValueError) as caught:
        structure(Together, {"a": "sk-secret"})

    assert caught.value.key is None
    assert "sk-secret" not in str(caught.value)


def test_freshkey_error_from_the_settings_class_passes_through() -> None:
    @frozen
    class Together:
        a: str = ""

        def __attrs_post_init__(self) -> None:
            raise ConfigurationError("set either issuer or token_url", code="example-settings-conflict")

    with raises_code(ConfigurationError, "example-settings-conflict"):
        structure(Together, {"a": "x"})


@frozen
class Needy:
    a: str


@frozen
class Unresolvable:
    a: Missing = None  # type: ignore[name-defined]  # noqa: F821  intended


@frozen
class Unreadable:
    a: complex | bytes | None = None


@pytest.mark.parametrize(
    ("kind", "fact"), [(Needy, "no default for 'a'"), (Unresolvable, "NameError"), (dict, "NotAnAttrsClassError")]
)
def test_unusable_settings_class_is_a_broken_plugin(kind: type, fact: str) -> None:
    with raises_code(PluginBroken, "plugin-settings-invalid") as caught:
        fields(kind)
    assert fact in caught.value.message


def test_unsupported_annotation_is_a_broken_plugin() -> None:
    table: dict[str, Any] = {"a": "x"}

    with raises_code(PluginBroken, "plugin-settings-invalid") as caught:
        structure(Unreadable, table)
    assert "'a'" in caught.value.message
