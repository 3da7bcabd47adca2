"""Makes a new credential durable before anybody gets it, and says so when that takes too long."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from freshkey._renewal.single_flight import process_is_exiting
from freshkey.errors import GenerationConflict, StoreError, StoreUnavailable, describe_raise


if TYPE_CHECKING:
    from freshkey.clock import Clock
    from freshkey.model.storage import CredentialStore, Record

log = logging.getLogger("freshkey")

SAVE_TIMEOUT: Final = 10.0
"""Seconds for which callers, and an exiting interpreter, wait for a save that fails."""

MIN_PAUSE: Final = 0.25
MAX_PAUSE: Final = 5.0


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
    pause = MIN_PAUSE
    told = False
    while (failure := _attempt(store, record)) is not None:
        left = started + SAVE_TIMEOUT - clock.elapsed()
        if left <= 0 and process_is_exiting():
            # Callers have gone by now, and perhaps whoever listened to events.
            log.error("this program ends with a renewed sign-in that cannot be stored and is lost: %s", failure)
            raise failure
        if left <= 0 and not told:
            unsaved(failure)
            told = True
        clock.wait(threading.Event(), min(pause, left) if left > 0 else pause)
        pause = min(MAX_PAUSE, 2 * pause)


def _attempt(store: CredentialStore, record: Record) -> StoreError | None:
    """Save once; return why that failed, whatever a store of somebody else's raises."""
    try:
        store.save(record)
    except GenerationConflict:
        raise
    except StoreError as error:
        return error
    except Exception as error:  # noqa: BLE001  the token is spent by now: giving up would lose the sign-in
        return StoreUnavailable(f"the {store.kind} store broke its contract: {describe_raise(error)}")
    return None
