"""What an attempt to renew is about: its source, the settings, and what was found there, as one fingerprint.

A pause after a failure applies to one subject. With other settings, or once the source has changed, there is something
new to try. See docs/decisions.md, "A pause holds back requests, never a look".
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import PurePath

import attrs

from freshkey._renewal.context import ProfileContext
from freshkey._renewal.reading import Reading
from freshkey.model.source import Detected
from freshkey.secret import Secret


_SIMPLE = (str, bytes, int, float, enum.Enum, PurePath, datetime, type(None))


def subject_of(context: ProfileContext, reading: Reading) -> str:
    """Return the subject of an attempt with what was read; opaque, and compared only for equality.

    What is stored in an owned source does not count: each renewal changes it, and the pause is about its server.
    """
    source, description = reading.winner, context.description
    facts = (
        source.id if source else None,
        _plain(context.profile.settings),
        _plain(description.binding),
        _plain(description.hosts),
        None if source is None or source.owned else _seen(reading.detected),
    )
    return hashlib.sha256(repr(facts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _seen(detected: Detected | None) -> object:
    return None if detected is None else _plain(detected)


def _plain(value: object) -> object:
    """Return settings as values with the same `repr` in every process, without secrets."""
    if isinstance(value, Secret):
        return value.fingerprint()
    kind: type = type(value)
    if attrs.has(kind):
        return [(each.name, _plain(getattr(value, each.name))) for each in attrs.fields(kind)]
    if isinstance(value, _SIMPLE):
        return str(value)
    if isinstance(value, Mapping):
        return sorted((str(key), repr(_plain(each))) for key, each in value.items())
    if isinstance(value, Collection):
        plain = [repr(_plain(each)) for each in value]
        return sorted(plain) if isinstance(value, (set, frozenset)) else plain
    return kind.__qualname__  # its own `repr` may contain an address, which is another one in each process
