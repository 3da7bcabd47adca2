"""Records, intents and calls that the checks of a store share."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Final

from attrs import evolve

from freshkey import Secret
from freshkey.plugin import SYSTEM, CredentialStore, Intent, Record, Snapshot


SECRET: Final = "canary-store-5d0f6a1b9c"  # noqa: S105  made up, to detect leaks
SHORT: Final = 0.05
LONG: Final = 30.0
AGES: Final = 10.0


def new_record(generation: int, text: str = "") -> Record:
    """Return a record of a generation; `text` is its payload."""
    payload = Secret(text or json.dumps({"generation": generation}))
    return Record(generation=generation, payload=payload, written_at=1_767_225_600.25 + generation)


def tombstone(generation: int) -> Record:
    """Return the record of a sign-out."""
    return Record(generation=generation, payload=None, written_at=1.5)


def new_intent(generation: int) -> Intent:
    """Return an intent whose result will be that generation."""
    noted = evolve(SYSTEM.now(), wall=1_767_225_600.5, elapsed=12.25)
    return Intent(generation=generation, token_hash="0123456789abcdef", noted=noted, pid=4711)  # noqa: S106  a hash


def same(snapshot: Snapshot, expected: Record) -> bool:
    """Return whether a store holds exactly this record."""
    return snapshot == Snapshot(record=expected)


def save(store: CredentialStore, new: Record) -> None:
    """Save a record as the core does, with the lock held."""
    with store.lock(LONG):
        store.save(new)


def take(store: CredentialStore, timeout: float) -> None:
    """Take the lock and release it."""
    with store.lock(timeout):
        pass


def caught(act: Callable[[], object]) -> BaseException | None:
    """Return what a call raised, or None."""
    try:
        act()
    except BaseException as error:  # noqa: BLE001  the test looks at it
        return error
    return None


def on_thread(act: Callable[[], object]) -> BaseException | None:
    """Run `act` on a separate thread and return what it raised, or a TimeoutError if it hangs."""
    outcome: list[BaseException | None] = []
    thread = threading.Thread(target=lambda: outcome.append(caught(act)), daemon=True)
    thread.start()
    thread.join(AGES)
    return outcome[0] if outcome else TimeoutError(f"still running after {AGES:.0f} s")
