"""The shape every configuration must have: names, tables and the core's own keys, each fault with its place."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from freshkey._config.toml_file import Document
from freshkey.errors import ConfigurationError, closest, suggestion


TOP_KEYS: Final = frozenset({"default", "observers", "profiles", "stores"})
CORE_KEYS: Final = frozenset({"provider", "store", "source", "skip", "lead"})
"""Keys of a profile's table that belong to the core; all others are the provider's."""
CORE_STORES: Final = frozenset({"keyring", "file", "memory"})

_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")


def checked_name(name: str) -> str:
    """Return the name of a profile or store if it can be one.

    Raises:
        ConfigurationError: It could not be part of a file's name or a keychain item's.
    """
    if not _SAFE_NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name[:80]!r} cannot be a name",
            hint="Use 64 letters, digits, dots, dashes and underscores at the most, beginning with a letter or digit",
        )
    return name


def check_shape(document: Document) -> None:
    """Refuse what no configuration may say.

    Raises:
        ConfigurationError: Names the place and what belongs there.
    """
    for key in document.tables:
        if key not in TOP_KEYS:
            raise document.error(f"there is no key {key!r}", key, hint=suggestion(key, TOP_KEYS))
    if not isinstance(document.tables.get("default", ""), str):
        raise document.error("'default' must be a string: the name of a profile", "default")
    observers = document.tables.get("observers", [])
    if not isinstance(observers, list) or len(strings(observers)) != len(observers):
        raise document.error("'observers' must be a list of strings", "observers")
    for kind in ("profiles", "stores"):
        check_tables(document, kind)
    _check_twins(document)
    _check_store_names(document)


def check_tables(document: Document, kind: str) -> None:
    """Refuse what is no table of tables, and names of profiles that could not be files."""
    value = document.tables.get(kind, {})
    if not isinstance(value, Mapping):
        raise document.error(f"'{kind}' must be a table", kind, hint=f"Write [{kind}.NAME]")
    for name, table in value.items():
        if kind == "profiles":
            try:
                checked_name(name)
            except ConfigurationError as error:
                raise document.error(error.message, kind, name, hint=error.hint) from None
        if not isinstance(table, Mapping):
            raise document.error(f"'{kind}.{name}' must be a table", kind, name, hint=f"Write [{kind}.{name}]")


def _check_twins(document: Document) -> None:
    """Refuse two names of profiles that would be one file where case does not count."""
    seen: dict[str, str] = {}
    for name in tables(document.tables.get("profiles")):
        twin = seen.setdefault(name.lower(), name)
        if twin != name:
            raise document.error(f"profiles {twin!r} and {name!r} differ only in case", "profiles", name)


def _check_store_names(document: Document) -> None:
    """Refuse a store's table that nobody uses and that looks like a misspelt one."""
    profiles = tables(document.tables.get("profiles")).values()
    used = CORE_STORES | {str(table["store"]) for table in profiles if "store" in table}
    for name in tables(document.tables.get("stores")):
        if name not in used and closest(name, used):
            raise document.error(f"no store is named {name!r}", "stores", name, hint=suggestion(name, used))


def core_string(document: Document, profile: str, table: Mapping[str, object], key: str) -> str | None:
    """Return a core key that is a string, or None where it is absent."""
    value = table.get(key)
    if value is not None and (not isinstance(value, str) or not value):
        raise wrong_value(document, profile, key, "a string")
    return value


def core_strings(document: Document, profile: str, table: Mapping[str, object], key: str) -> tuple[str, ...]:
    """Return a core key that is a list of strings; empty where it is absent."""
    value = table.get(key, ())
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) and item for item in value):
        raise wrong_value(document, profile, key, "a list of strings")
    return tuple(value)


def lead(document: Document, profile: str, table: Mapping[str, object]) -> float | None:
    """Return the seconds before expiry at which to renew, or None."""
    value = table.get("lead")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise wrong_value(document, profile, "lead", "a number of seconds above zero")
    return float(value)


def wrong_value(document: Document, profile: str, key: str | None, expected: str) -> ConfigurationError:
    """Return the error for a key of a profile that must be something else; without a key it is the combination."""
    if key is None:
        message = "the provider does not accept these settings together"
        return document.error(message, "profiles", profile, profile=profile)
    return document.error(f"{key!r} must be {expected}", "profiles", profile, key, profile=profile)


def check_keys(document: Document, profile: str, keys: Iterable[str], known: Collection[str]) -> None:
    """Refuse a key of a profile that neither the core nor the provider knows; one misspelt is told what was meant.

    Raises:
        ConfigurationError: Names the place, and the known key that looks most like it.
    """
    for key in keys:
        if key not in known:
            message = f"there is no setting {key!r}"
            raise document.error(message, "profiles", profile, key, profile=profile, hint=suggestion(key, known))


def tables(value: object) -> Mapping[str, Mapping[str, Any]]:
    """Return a table of tables whose shape was checked; nothing counts as an empty one."""
    return value if isinstance(value, Mapping) else {}


def strings(value: object) -> list[str]:
    """Return the strings of a list; anything else counts as an empty one."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
