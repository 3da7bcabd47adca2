"""Settings that are given for one run, as ``--set KEY=VALUE``: read, and held against what the provider knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from freshkey._config.schema import check_keys
from freshkey._config.toml_file import Document


if TYPE_CHECKING:
    import attrs

SET: Final = Document(place="--set")
"""Where such a setting is, for messages."""


def read_override(text: str) -> tuple[str, object]:
    """Return the key and the value of ``KEY=VALUE``.

    The value is TOML, as after the equals sign in ``config.toml``; what is no TOML is a string without its quotes.

    Raises:
        ValueError: There is no key, or no equals sign.
    """
    key, equals, value = text.partition("=")
    if not key.strip() or not equals:
        message = "it is not KEY=VALUE"
        raise ValueError(message)
    return key.strip(), _value(value)


def _value(text: str) -> object:
    import tomllib

    try:
        read = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return read["value"] if len(read) == 1 else text  # more than one: a line break within made further keys


def check_overrides(overrides: Mapping[str, object], profile: str, known: Mapping[str, attrs.Attribute[Any]]) -> None:
    """Refuse what is no setting of the provider, and what must not be given that way.

    Raises:
        ConfigurationError: A key is misspelt, or its value is a secret: others can read the arguments of a process.
    """
    check_keys(SET, profile, overrides, known)
    for key in overrides:
        if re.search(r"\bSecret\b", str(known[key].type)):
            message = f"{key!r} is a secret, and others can read the arguments of a process"
            raise SET.error(message, profile=profile, hint="Write it into the configuration file")
