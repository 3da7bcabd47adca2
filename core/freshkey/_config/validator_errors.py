"""What a validator or converter of a provider's settings class says, without the value that it says it about."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final

import attrs

from freshkey._text.redact import MASK, Redactor
from freshkey.secret import Secret


_LIBRARIES: Final = frozenset({"attr", "attrs", "cattrs", "freshkey"})
"""Packages whose messages are about values and classes, and not written by the provider's author."""

_BOUND: Final = re.compile(r"'\w+' must be (<=|<|>=|>) (.+?): ", re.DOTALL)
_LENGTH: Final = re.compile(r"Length of '\w+' must be (<=|=>|>=) (\d+): ")
_COMPARED: Final = {"<": "less than", "<=": "at most", ">=": "at least", "=>": "at least", ">": "more than"}
_MIN_MASKED: Final = 4
_WORD: Final = re.compile(r"[^\W\d_]{2}")


def own_sentence(error: Exception, table: Mapping[str, object]) -> str | None:
    """Return the sentence with which a provider's own validator or converter refused a value; None if there is none.

    Args:
        error: What was raised.
        table: The settings; none of their values is in the result, in whatever form.
    """
    is_text = bool(error.args) and isinstance(error.args[0], str) and error.args[0].strip()
    if not is_text or not isinstance(error, ValueError | TypeError) or isinstance(error, UnicodeError):
        return None
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if not frames or str(frames[-1].f_globals.get("__name__")).partition(".")[0] in _LIBRARIES:
        return None
    text = str(error.args[0])
    values = {*_texts(table)}
    for value in values:
        for quoted in (repr(value), f'"{value}"', f"`{value}`"):
            text = text.replace(quoted, MASK)
        if 0 < len(value) < _MIN_MASKED:  # what is longer is found in every form
            text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", MASK, text)
    text = Redactor(values)(text).rstrip(".")
    return text if _WORD.search(text.replace(MASK, "")) else None


def refused_key(
    error: Exception, values: Mapping[str, object], known: Mapping[str, attrs.Attribute[Any]]
) -> str | None:
    """Return the key whose validator or converter raised; None if it is about several."""
    named = {argument.name for argument in error.args if isinstance(argument, attrs.Attribute)}
    named |= {*_validated(error.__traceback__)}
    text = str(error)
    for key, field in known.items():
        if field.name in named or text.startswith(f"'{field.name}' "):
            return key
    return next((key for key, value in values.items() if _refuses(known[key].converter, value)), None)


def what_is_allowed(error: Exception, words: Callable[[Any], str]) -> str:
    """Return what a validator of attrs allows, to follow "must be"; its own text quotes the value.

    Args:
        error: What was raised.
        words: Returns the description of a type.
    """
    text = str(error.args[0]) if error.args else ""
    if bound := _BOUND.match(text):
        return f"{_COMPARED[bound[1]]} {bound[2]}"
    if length := _LENGTH.match(text):
        return f"{_COMPARED[length[1]]} {length[2]} long"
    about = error.args[2] if len(error.args) > 2 and isinstance(error.args[1], attrs.Attribute) else None  # noqa: PLR2004
    if isinstance(about, re.Pattern):
        return f"text that matches {about.pattern}"
    if " must be in " in text and isinstance(about, list | tuple | set | frozenset):
        return "one of: " + ", ".join(map(str, sorted(about, key=str) if isinstance(about, set | frozenset) else about))
    kinds = about if isinstance(about, tuple) else (about,)
    if " must be <class " in text and all(isinstance(kind, type) for kind in kinds):
        return " or ".join(map(words, kinds))
    return "a value that the provider accepts"


def _validated(trace: TracebackType | None) -> Iterator[str]:
    """Yield the attributes that validators were given, from the outermost on: (instance, attribute, value)."""
    for frame, _ in traceback.walk_tb(trace):
        code = frame.f_code
        for name in code.co_varnames[: code.co_argcount]:
            if isinstance(given := frame.f_locals.get(name), attrs.Attribute):
                yield given.name
                return


def _refuses(converter: object, value: object) -> bool:
    """Return whether a converter raises for a value: it is not told for which attribute it is called."""
    if not callable(converter) or isinstance(converter, attrs.Converter):
        return False
    try:
        converter(value)
    except Exception:  # noqa: BLE001  a provider's
        return True
    return False


def _texts(value: object) -> Iterator[str]:
    """Yield the texts of every value in a table."""
    if isinstance(value, Secret):
        yield value.reveal()
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _texts(each)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
