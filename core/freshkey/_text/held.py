"""Finds the secrets in what a plugin was given, returned or raised."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from freshkey.secret import Secret


_MAX_OBJECTS: Final = 2000
"""Objects that are looked at; a plugin's result may be a graph without an end."""

_TRIES: Final = 10
"""How often a container is copied that changes meanwhile."""

_SECRET_NAME: Final = re.compile(r"pass|secret|token|key|credential|pwd|dsn", re.IGNORECASE)

_MIN_LEAF: Final = 20
_PUBLIC: Final = re.compile(
    r"[a-z][a-z0-9+.-]*://[^@]*|[^@\s]+@[\w.-]+|[\w.-]{0,11}|(?:\d{4}-){1}\d\d-.*", re.IGNORECASE
)
"""What is in many documents beside a secret: URLs, addresses, short words, dates."""


def secrets_in(*holders: object) -> Iterator[str]:
    """Yield the plain text of every secret in the given objects, however deep.

    That is of each `Secret`, and of text under a name that says so, such as ``password``. A secret that is a JSON
    document is yielded whole, and so is each secret member of it.

    Args:
        holders: Credentials, profiles, exceptions with what they carry, or anything made of these.
    """
    waiting: list[object] = list(holders)
    seen: dict[int, object] = {}
    while waiting and len(seen) < _MAX_OBJECTS:
        one = waiting.pop()
        if id(one) in seen or one is None or isinstance(one, str | bytes | int | float | type):
            continue
        seen[id(one)] = one
        if isinstance(one, Secret):
            yield from _with_members(one.reveal())
        elif isinstance(one, Mapping):
            members = dict(_copied(one))
            yield from _named(members)
            waiting += [*members.keys(), *members.values()]
        elif isinstance(one, list | tuple | set | frozenset):
            waiting += _copied(one)
        else:
            waiting += _parts(one)


def _copied(container: Collection[Any]) -> list[Any]:
    """Return what a container holds now, pairs if it is a mapping; other threads may be changing it."""
    for _ in range(_TRIES):
        try:
            # No other thread runs while a dict is copied, but one may run while pairs are made of it.
            return [*dict(container).items()] if isinstance(container, Mapping) else [*container]
        except RuntimeError:
            continue  # a set, or a mapping of another class, changed its size
        except Exception:  # noqa: BLE001  a plugin's object
            break
    return []


def _parts(one: object) -> Iterator[object]:
    """Yield what an object holds: its attributes and fields; of an exception, also its arguments and causes."""
    try:
        if isinstance(one, BaseException):
            yield from (one.args, one.__cause__, one.__context__, getattr(one, "exceptions", None))
        yield getattr(one, "__dict__", None)
        for kind in type(one).__mro__:
            slots = vars(kind).get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if not name.startswith("__"):
                    yield getattr(one, name, None)
    except Exception:  # noqa: BLE001  a plugin's object
        return


def _named(members: Mapping[object, object]) -> Iterator[str]:
    for name, value in members.items():
        if isinstance(name, str) and isinstance(value, str) and value and _SECRET_NAME.search(name):
            yield value


def _with_members(secret: str) -> Iterator[str]:
    yield secret
    if secret.lstrip()[:1] in {"{", "["}:
        try:
            waiting = [json.loads(secret)]
        except (ValueError, RecursionError):
            return
        while waiting:
            one = waiting.pop()
            if isinstance(one, str) and len(one) >= _MIN_LEAF and not _PUBLIC.fullmatch(one):
                yield one
            elif isinstance(one, dict):
                yield from _named(one)
                waiting += [value for name, value in one.items() if not _is_public(name)]
            elif isinstance(one, list):
                waiting += one


def _is_public(name: str) -> bool:
    return name.lower().endswith(
        ("id", "uri", "url", "arn", "name", "_uri", "_url", "type", "project", "email", "issuer", "scope")
    )
