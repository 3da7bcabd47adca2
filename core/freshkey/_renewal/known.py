"""What is known to have been saved in a store, so that an older record that was put back there is recognized.

The hints say it for every process, and each process remembers what it saw itself, because hints can be deleted.
See docs/decisions.md, "A store that was put back sends no single-use token".
"""

from __future__ import annotations

import hashlib
import logging
from typing import Final

from attrs import evolve

from freshkey._interprocess.hints import Hints
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.plain import plain
from freshkey._renewal.seen import Mark
from freshkey.model.storage import Record, Snapshot


log = logging.getLogger(__name__)

MAX_GENERATION: Final = 10**15
"""Hints with a higher one are damaged: it could not be counted up in a store."""


def store_id(context: ProfileContext) -> str:
    """Return what tells the stores of a profile apart: what one of them saved says nothing about another.

    Which keychain a session has is known only once it was used.
    """
    found: list[object] = [plain(context.profile.store_settings)]
    if identity := getattr(context.store, "identity", ""):
        found.append(str(identity))
    digest = hashlib.sha256(", ".join(map(repr, found)).encode("utf-8", "surrogatepass"))
    return f"{context.store.kind}:{digest.hexdigest()[:16]}"


def newest_saved(context: ProfileContext) -> Mark:
    """Return what is known about the newest record in the profile's store."""
    store = store_id(context)
    seen, (generation, signed_out) = context.seen.mark(store), context.hints.read().saved_in(store)
    if seen.generation < generation <= MAX_GENERATION:
        return Mark(generation, signed_out)
    return seen


def load(context: ProfileContext) -> tuple[Snapshot, Mark]:
    """Read the store, again if it returned less than is known; what the user signed out of counts as signed out."""
    snapshot = context.store.load()
    known = newest_saved(context)
    if snapshot.generation < known.generation:
        snapshot = context.store.load()
    if snapshot.record is not None:
        context.seen.note(store_id(context), snapshot.record)
    known = newest_saved(context)
    if snapshot.generation >= known.generation:
        return snapshot, known
    log.warning(
        "%s: the store returned an older generation than the last one saved: %d instead of %d",
        context.profile.label,
        snapshot.generation,
        known.generation,
    )
    if known.signed_out:
        # Whoever put the store back did not sign in: what the user has ended is neither served nor renewed.
        grave = Record(generation=known.generation, payload=None, written_at=known.written_at)
        return evolve(snapshot, record=grave, intent=None), known
    return snapshot, known


def next_generation(snapshot: Snapshot, known: Mark) -> int:
    """Return the generation of the next record: above everything that is known to have been saved."""
    if known.generation <= snapshot.generation:
        return snapshot.generation + 1
    following = known.generation + 1
    # The record that is there stays untouched until the next one is complete, so that one goes into the other slot.
    overwrites = snapshot.payload is not None and (following - snapshot.generation) % 2 == 0
    return following + 1 if overwrites else following


def is_put_back(snapshot: Snapshot, known: Mark) -> bool:
    """Return whether the record was replaced long ago, and nothing in the store shows by what.

    A newer record that is there but damaged is a trace of what replaced the one before it, and only that one. So is the
    intent of its one retry, which takes its place. The copy of a first sending that succeeded later is none.
    """
    intent = snapshot.intent
    retried = intent is not None and (intent.attempts > 1 or intent.outcome == "lost")
    return snapshot.payload is not None and known.generation - snapshot.generation > (snapshot.damaged or retried)


def note_saved(context: ProfileContext, hints: Hints, record: Record) -> None:
    """Tell other processes, and remember, that a record was saved."""
    store = store_id(context)
    context.seen.note(store, record)
    context.hints.write(hints.with_saved(store, record.generation, signed_out=record.payload is None))
