"""Settings as plain values, to compare them across processes."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import PurePath

import attrs

from freshkey.secret import Secret


_SIMPLE = (str, bytes, int, float, enum.Enum, PurePath, datetime, type(None))


def plain(value: object, text: Callable[[str], str] = str) -> object:
    """Return settings as values with the same `repr` in every process, without secrets; `text` changes each string."""
    if isinstance(value, Secret):
        return value.fingerprint()
    kind: type = type(value)
    if attrs.has(kind):
        return [(each.name, plain(getattr(value, each.name), text)) for each in attrs.fields(kind)]
    if isinstance(value, _SIMPLE):
        return text(str(value))
    if isinstance(value, Mapping):
        return sorted((str(key), repr(plain(each, text))) for key, each in value.items())
    if isinstance(value, Collection):
        parts = [repr(plain(each, text)) for each in value]
        return sorted(parts) if isinstance(value, (set, frozenset)) else parts
    return kind.__qualname__  # its own `repr` may contain an address, which is another one in each process
