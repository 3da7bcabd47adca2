"""Checks the structure of a configuration: names, tables and the core's own keys, each error with its line."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from freshkey._config.toml_file import Document
from freshkey.errors import ConfigurationError, closest, suggestion
from freshkey.secret import is_implausible, looks_secret, quoted, shown_name


TOP_KEYS: Final = frozenset({"default", "observers", "profiles", "stores"})
CORE_KEYS: Final = frozenset(
    {"provider", "store", "source", "skip", "lead", "redirect_port", "allow_insecure_loopback"}
)
"""Keys of a profile's table that belong to the core; all others belong to the provider."""
MIN_PORT: Final = 1024
"""Lower ports need privileges, and browsers leave 80 out of a URL."""
MAX_PORT: Final = 65535
CORE_STORES: Final = frozenset({"keyring", "file", "memory"})

HIDDEN: Final = "(not shown)"
"""Name of a profile in messages if what was given may be a secret."""

_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")


def checked_name(name: str) -> str:
    """Return the name of a profile if it is valid.

    Raises:
        ConfigurationError: It is not safe as part of a file name or of a keychain item's name.
    """
    if not _SAFE_NAME.fullmatch(name) or looks_secret(name):
        raise ConfigurationError(
            f"invalid profile name {quoted(name)}",
            profile=None if shown_name(name) else HIDDEN,
            hint="Use at most 64 letters, digits, dots, hyphens, and underscores, starting with a letter, digit, or _",
            code="invalid-name",
        )
    return name


def check_shape(document: Document) -> None:
    """Check top-level keys, tables and names.

    Raises:
        ConfigurationError: The message names the line, and what is allowed there.
    """
    for key in document.tables:
        if key not in TOP_KEYS:
            hint = suggestion(key, TOP_KEYS)
            raise document.error(f"unknown key {quoted(key)}", key, hint=hint, code="unknown-setting")
    if not isinstance(document.tables.get("default", ""), str):
        raise document.error("'default' must be a string: the name of a profile", "default")
    observers = document.tables.get("observers", [])
    if not isinstance(observers, list) or len(strings(observers)) != len(observers):
        raise document.error("'observers' must be a list of strings: the names of observers", "observers")
    for kind in ("profiles", "stores"):
        check_tables(document, kind)
    _check_twins(document)
    _check_store_names(document)


def check_tables(document: Document, kind: str) -> None:
    """Reject anything but a table of tables, and invalid profile names."""
    value = document.tables.get(kind, {})
    if not isinstance(value, Mapping):
        raise document.error(f"'{kind}' must be a table", kind, hint=f"Write a section [{kind}.NAME]")
    for name, table in value.items():
        if kind == "profiles":
            try:
                checked_name(name)
            except ConfigurationError as error:
                raise document.error(error.message, kind, name, hint=error.hint, code=error.code) from None
        if not isinstance(table, Mapping):
            shown = shown_name(name) or "NAME"
            hint = f"Write a section [{kind}.{shown}]"
            raise document.error(f"'{kind}.{shown}' must be a table", kind, name, hint=hint)


def _check_twins(document: Document) -> None:
    """Reject two profile names that differ only in case: some file systems would use one file for both."""
    seen: dict[str, str] = {}
    for name in tables(document.tables.get("profiles")):
        twin = seen.setdefault(name.lower(), name)
        if twin != name:
            message = f"profiles {twin!r} and {name!r} differ only in case"
            raise document.error(message, "profiles", name, hint="Rename one of them", code="invalid-name")


def _check_store_names(document: Document) -> None:
    """Reject a store's table that no profile uses and whose name looks like a typo."""
    profiles = tables(document.tables.get("profiles")).values()
    used = CORE_STORES | {str(table["store"]) for table in profiles if "store" in table}
    for name in tables(document.tables.get("stores")):
        if name not in used and closest(name, used):
            hint = suggestion(name, used)
            raise document.error(f"unknown store {quoted(name)}", "stores", name, hint=hint, code="unknown-setting")


def core_string(document: Document, profile: str, table: Mapping[str, object], key: str) -> str | None:
    """Return the value of a core key that is a string, or None if it is not set."""
    value = table.get(key)
    if value is not None and (not isinstance(value, str) or not value):
        raise wrong_value(document, profile, key, "a non-empty string")
    if isinstance(value, str) and is_implausible(value):
        raise wrong_value(document, profile, key, "a name; what it is set to may be a secret")
    return value


def core_strings(document: Document, profile: str, table: Mapping[str, object], key: str) -> tuple[str, ...]:
    """Return the value of a core key that is a list of strings; empty if it is not set."""
    value = table.get(key, ())
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) and item for item in value):
        raise wrong_value(document, profile, key, "a list of non-empty strings")
    return tuple(value)


def lead(document: Document, profile: str, table: Mapping[str, object]) -> float | None:
    """Return the seconds before expiry at which to renew, or None."""
    value = table.get("lead")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise wrong_value(document, profile, "lead", "a positive number of seconds")
    return float(value)


def redirect_port(document: Document, profile: str, table: Mapping[str, object]) -> int | None:
    """Return the port that a sign-in in the browser returns to, or None for any free one."""
    value = table.get("redirect_port")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not MIN_PORT <= value <= MAX_PORT:
        raise wrong_value(document, profile, "redirect_port", f"a port from {MIN_PORT} to {MAX_PORT}")
    return value


def allow_insecure_loopback(document: Document, profile: str, table: Mapping[str, object]) -> bool | None:
    """Return whether http to this machine is accepted, or None if it is not set."""
    value = table.get("allow_insecure_loopback")
    if value is not None and not isinstance(value, bool):
        raise wrong_value(document, profile, "allow_insecure_loopback", "true or false")
    return value


def wrong_value(
    document: Document, profile: str, key: str | None, expected: str, sentence: str | None = None
) -> ConfigurationError:
    """Return the error for an invalid value of a profile's key, or for an invalid combination if `key` is None.

    `sentence` is what the provider says itself; it has no value in it.
    """
    if key is None:
        message = sentence or "the provider does not accept this combination of settings"
        return document.error(message, "profiles", profile, profile=profile)
    if sentence is not None:
        return document.error(f"{key!r}: {sentence}", "profiles", profile, key, profile=profile)
    return document.error(f"{key!r} must be {expected}", "profiles", profile, key, profile=profile)


def check_keys(document: Document, profile: str, keys: Iterable[str], known: Collection[str]) -> None:
    """Reject keys of a profile that belong neither to the core nor to the provider.

    Raises:
        ConfigurationError: The message names the line, and the hint the most similar known key.
    """
    for key in keys:
        if key not in known:
            hint = suggestion(key, known)
            raise document.error(
                f"unknown setting {quoted(key)}",
                "profiles",
                profile,
                key,
                profile=profile,
                hint=hint,
                code="unknown-setting",
            )


def tables(value: object) -> Mapping[str, Mapping[str, Any]]:
    """Return a table of tables whose structure was checked; empty if it is not set."""
    return value if isinstance(value, Mapping) else {}


def strings(value: object) -> list[str]:
    """Return the strings of a list; empty if it is not a list."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
