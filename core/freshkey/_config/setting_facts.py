"""What there is to know of a provider's settings: for people, without a profile."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any, Final

import attrs
from attrs import frozen

from freshkey._config.provider_settings import fields, words_for
from freshkey.secret import Secret


_ENTRY: Final = re.compile(r"(\w+): (\S.*)")


@frozen(kw_only=True)
class SettingFacts:
    """One setting of a provider.

    Attributes:
        name: Its key in a profile table.
        type: What is allowed, such as ``a string``.
        default: Its default as in the configuration file; None if it is not set by default, or if it is computed.
        about: What the docstring of the settings class says about it; empty if nothing.
    """

    name: str
    type: str
    default: str | None
    about: str


def setting_facts(kind: type) -> tuple[SettingFacts, ...]:
    """Return the settings of a settings class, in its order.

    Raises:
        PluginBroken: The settings class cannot be used.
    """
    known = fields(kind)
    told: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        told |= _attributes(inspect.cleandoc(base.__doc__ or "").replace("``", ""))
    return tuple(
        SettingFacts(
            name=name,
            type=words_for(each.type),
            default=_default(each),
            about=told.get(each.name, ""),
        )
        for name, each in known.items()
    )


def _default(setting: attrs.Attribute[Any]) -> str | None:
    value: Any = setting.default
    factory = getattr(value, "factory", None)
    if factory is not None:
        if factory not in {dict, list, set, tuple, frozenset}:
            return None
        value = factory()
    if value is None or isinstance(value, Secret):
        return None
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, set | frozenset | tuple):
        value = list(value)
    try:
        return json.dumps(getattr(value, "value", value), ensure_ascii=False)
    except (TypeError, ValueError):
        return None


def _attributes(docstring: str) -> dict[str, str]:
    """Return the entries of the section "Attributes" of a docstring, each on one line."""
    _, found, section = docstring.partition("Attributes:\n")
    entries: dict[str, str] = {}
    name = ""
    for line in section.splitlines() if found else ():
        if line and not line.startswith(" "):
            break
        if (entry := _ENTRY.fullmatch(line.strip())) and len(line) - len(line.lstrip()) == 4:  # noqa: PLR2004  of the section
            name, entries[entry[1]] = entry[1], entry[2]
        elif name and line.strip():
            entries[name] = f"{entries[name]} {line.strip()}"
    return entries
