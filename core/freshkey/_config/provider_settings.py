"""Converts a provider's table to an instance of its settings class: strict types, and no value in a message."""

from __future__ import annotations

import enum
import functools
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from freshkey._commands.command import WORDS_FOR_COMMAND, Command, WrongCommandError
from freshkey._config.validator_errors import own_sentence, refused_key, what_is_allowed
from freshkey.errors import FreshkeyError, PluginBroken
from freshkey.secret import Secret


if TYPE_CHECKING:
    from cattrs import Converter

WORDS: dict[type, str] = {
    str: "a string",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    Secret: "a string",
    Path: "a string",
    Command: WORDS_FOR_COMMAND,
}
"""The description of each type's TOML value, for messages."""

PLURAL_WITH_S: frozenset[str] = frozenset({"a string", "a whole number", "a number", "a table"})


@attrs.define
class WrongValueError(Exception):
    """A value does not fit its key.

    Attributes:
        key: The key; None if the combination of values is invalid.
        expected: What is allowed, to follow "must be".
        sentence: What the provider's own validator says instead, without a value.
    """

    key: str | None
    expected: str
    sentence: str | None = None


def fields(kind: type) -> dict[str, attrs.Attribute[Any]]:
    """Return the settings of a settings class by their names in TOML.

    Raises:
        PluginBroken: It is not an attrs class with resolvable annotations and a default for each field.
    """
    try:
        attrs.resolve_types(kind)
        known = {field.alias or field.name: field for field in attrs.fields(kind) if field.init}
    except Exception as error:  # noqa: BLE001  an annotation can raise anything
        raise PluginBroken(
            f"invalid settings class {kind.__name__} ({type(error).__name__})",
            code="plugin-settings-invalid",
        ) from None
    needy = [name for name, field in known.items() if field.default is attrs.NOTHING]
    if needy:
        raise PluginBroken(
            f"the settings class {kind.__name__} has no default for {needy[0]!r}", code="plugin-settings-invalid"
        )
    return known


def takes_command(setting: attrs.Attribute[Any]) -> bool:
    """Return whether a setting is, or can be, a command."""
    return setting.type is Command or Command in typing.get_args(setting.type)


def is_for_projects(setting: attrs.Attribute[Any]) -> bool:
    """Return whether a project's file can set it: the provider marks it with ``metadata={"project": True}``.

    So it can set a choice, see `is_choice`; but that needs trust.
    """
    return setting.metadata.get("project") is True or is_choice(setting)


def is_choice(setting: attrs.Attribute[Any]) -> bool:
    """Return whether it picks one of the user's identities: the provider marks it ``metadata={"project": "choice"}``.

    An older core does not let a project set what is marked like this.
    """
    return setting.metadata.get("project") == "choice"


def structure(kind: type, table: Mapping[str, object]) -> object:
    """Return an instance of the settings class `kind`, which has all keys of `table`.

    Raises:
        WrongValueError: A value has the wrong type, or a validator rejected it.
        FreshkeyError: The class itself raised one.
    """
    known = fields(kind)
    values = {key: _structured(key, value, known[key].type) for key, value in table.items()}
    try:
        return kind(**values)
    except FreshkeyError:
        raise
    except Exception as error:  # noqa: BLE001  messages of the provider's validators quote the value
        key, allowed = refused_key(error, values, known), what_is_allowed(error, words_for)
        raise WrongValueError(key, allowed, own_sentence(error, table)) from None


def with_own_files(settings: Any, ensure_own: Callable[[str, Path | str], None], source: Path | None) -> object:  # noqa: ANN401
    """Return settings whose commands check the files of the current project that they name. See `Command`."""
    sources = () if source is None else (source,)
    checked = {
        key: attrs.evolve(command, ensure_own=ensure_own, sources=sources)
        for key, one in fields(type(settings)).items()
        if isinstance(command := getattr(settings, one.name), Command) and command.directory is None
    }
    return attrs.evolve(settings, **checked) if checked else settings


def _structured(key: str, value: object, kind: Any) -> object:  # noqa: ANN401  an annotation can be any form
    from cattrs.errors import StructureHandlerNotFoundError

    try:
        return _converter().structure(value, kind)
    except StructureHandlerNotFoundError:
        raise PluginBroken(
            f"the setting {key!r} has a type that cannot be read from configuration", code="plugin-settings-invalid"
        ) from None
    except WrongCommandError as error:
        raise WrongValueError(key, error.expected) from None
    except Exception as error:  # noqa: BLE001  messages of converters quote the value
        raise WrongValueError(key, words_for(kind), own_sentence(error, {key: value})) from None


@functools.cache
def _converter() -> Converter:
    """Return a strict cattrs converter: by default cattrs reads 5 as "5", and "abc" as three strings."""
    from cattrs import Converter

    converter = Converter(detailed_validation=False)
    for plain in (str, bool, int, float):
        converter.register_structure_hook(plain, _strictly)
    for wrapper in (Secret, Path):
        converter.register_structure_hook(wrapper, lambda value, kind: kind(_strictly(value, str)))
    converter.register_structure_hook(Command, _read_command)
    converter.register_structure_hook_func(_is_list, functools.partial(_read_list, converter))
    converter.register_structure_hook_func(_is_table, functools.partial(_read_table, converter))
    return converter


def _strictly(value: object, kind: type) -> Any:  # noqa: ANN401  whatever `kind` makes
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise TypeError
    return kind(value)


def _read_command(value: object, _: type) -> Command:
    """Read a command from the user's own file; that of a project is already a `Command`."""
    if isinstance(value, Command):
        return value
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        raise TypeError
    return Command.of(value)


def _is_list(kind: Any) -> bool:  # noqa: ANN401
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return len(arguments) == 2 and arguments[1] is ...  # noqa: PLR2004  tuple[X, ...]
    return origin in {list, set, frozenset, Sequence, Iterable}


def _read_list(converter: Converter, value: object, kind: Any) -> object:  # noqa: ANN401
    if not isinstance(value, list | tuple):
        raise TypeError
    origin = typing.get_origin(kind)
    make: Callable[[Iterable[object]], object] = origin if origin in {list, set, frozenset} else tuple
    return make(converter.structure(item, typing.get_args(kind)[0]) for item in value)


def _is_table(kind: Any) -> bool:  # noqa: ANN401
    return typing.get_origin(kind) in {dict, Mapping}


def _read_table(converter: Converter, value: object, kind: Any) -> object:  # noqa: ANN401
    if not isinstance(value, Mapping):
        raise TypeError
    of_key, of_value = typing.get_args(kind)
    return {converter.structure(key, of_key): converter.structure(item, of_value) for key, item in value.items()}


def words_for(kind: Any) -> str:  # noqa: ANN401
    """Return what is allowed for a setting of that type."""
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Literal:
        return "one of: " + ", ".join(map(str, arguments))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return "one of: " + ", ".join(str(member.value) for member in kind)
    if typing.get_origin(kind) in {typing.Union, types.UnionType}:
        return " or ".join(words_for(argument) for argument in arguments if argument is not types.NoneType)
    if _is_list(kind):
        item = words_for(arguments[0])
        return (
            f"a list of {item.removeprefix('a ')}s" if item in PLURAL_WITH_S else f"a list in which each item is {item}"
        )
    if kind in WORDS:
        return WORDS[kind]
    return "a table" if _is_table(kind) or attrs.has(kind) else "a value of the type that the provider declares"
