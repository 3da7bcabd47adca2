"""Makes a new credential durable before anybody gets it, and says so when that takes too long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from freshkey.errors import GenerationConflict, StoreError
from freshkey.flight import process_is_exiting


if TYPE_CHECKING:
    from freshkey.clock import Clock
    from freshkey.model import CredentialStore, Record

PATIENCE = 10.0
"""Seconds for which callers, and an exiting interpreter, wait for a save that fails."""

SHORTEST_PAUSE = 0.25
LONGEST_PAUSE = 5.0


def save(store: CredentialStore, record: Record, *, clock: Clock, unsaved: Callable[[StoreError], None]) -> None:
    """Save a record, under the lock of its profile, trying for as long as the process lives.

    Args:
        store: Where to.
        record: What; nobody else has it, and what it replaces is already dead at the provider.
        clock: Measures the patience and sleeps.
        unsaved: Called once, when the patience is over and the save still fails: from then on this process uses
            the credential although a crash would lose it.

    Raises:
        GenerationConflict: The store holds something newer.
        StoreError: The interpreter is exiting and the patience is over.
    """
    started = clock.elapsed()
    pause = SHORTEST_PAUSE
    told = False
    while True:
        try:
            return store.save(record)
        except GenerationConflict:
            raise
        except StoreError as error:
            patient = clock.elapsed() - started < PATIENCE
            if not patient and process_is_exiting():
                raise
            if not patient and not told:
                unsaved(error)
                told = True
        left = started + PATIENCE - clock.elapsed()
        clock.wait(threading.Event(), min(pause, left) if left > 0 else pause)
        pause = min(LONGEST_PAUSE, 2 * pause)
