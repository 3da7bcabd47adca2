"""What an attempt to renew is about: its source, the settings, and what was found there, as one fingerprint.

A pause after a failure applies to one subject. With other settings, or once the source has changed, there is something
new to try. See docs/decisions.md, "A pause holds back requests, never a look".
"""

from __future__ import annotations

import hashlib

from freshkey._renewal.context import ProfileContext
from freshkey._renewal.plain import plain
from freshkey._renewal.reading import Reading
from freshkey.model.source import Detected


def subject_of(context: ProfileContext, reading: Reading) -> str:
    """Return the subject of an attempt with what was read; opaque, and compared only for equality.

    What is stored in an owned source does not count: each renewal changes it, and the pause is about its server.
    """
    source, description = reading.winner, context.description
    facts = (
        source.id if source else None,
        plain(context.profile.settings),
        plain(description.binding),
        plain(description.hosts),
        None if source is None or source.owned else _seen(reading.detected),
    )
    return hashlib.sha256(repr(facts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _seen(detected: Detected | None) -> object:
    return None if detected is None else plain(detected)
