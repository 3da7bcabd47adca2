"""Keeping what a renewal brought: durable before anybody gets it, published, and told when that takes too long."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final, Protocol

from attrs import evolve

from freshkey import _failpoints
from freshkey._renewal.attempts import Attempts
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.single_flight import process_is_exiting
from freshkey.clock import Clock
from freshkey.errors import GenerationConflict, StoreError, StoreUnavailable, TransientError, describe_raise
from freshkey.events import Event, SignedOut, Unsaved
from freshkey.expiry import Freshness
from freshkey.model.credential import Credential
from freshkey.model.storage import CredentialStore, Record


log = logging.getLogger("freshkey")

SAVE_TIMEOUT: Final = 10.0
"""Seconds for which callers, and an exiting interpreter, wait for a save that fails."""

MIN_PAUSE: Final = 0.25
MAX_PAUSE: Final = 5.0


class Memory(Protocol):
    """What a rotation may do to the keeper's memory; `ManagedCredential` is it."""

    refusals: dict[int, str]
    """Why only a person can go on, by the generation concerned; hints may be unwritable."""

    def publish(self, credential: Credential, generation: int, *, elsewhere: bool) -> Credential:
        """Serve `credential` from now on; return it as it is served."""

    def drop(self, event: SignedOut) -> None:
        """Serve nothing from now on."""

    def serve_early(self, credential: Credential) -> None:
        """Let those who wait for this rotation have `credential` although the rotation goes on."""

    def emit(self, event: Event) -> None:
        """Tell subscribers."""


def keep_owned(
    context: ProfileContext, memory: Memory, newer: Credential, generation: int, *, held_generation: int = 0
) -> Credential:
    """Under the lock: make `newer`, an owned credential, durable as `generation`, then publish and announce it.

    While it cannot be saved it counts as `held_generation`, that of what is in memory.

    Raises:
        StoreError: See `save`.
        TransientError: It came already expired; it is kept all the same.
    """
    record = Record(generation=generation, payload=context.codec.encode(newer), written_at=context.clock.now().wall)

    def use_unsaved(error: StoreError) -> None:
        memory.serve_early(memory.publish(newer, held_generation, elsewhere=False))
        memory.emit(Unsaved(profile=context.profile.name, error=error.message))

    save(context.store, record, clock=context.clock, unsaved=use_unsaved)
    _failpoints.hit("read_back")
    context.hints.write(evolve(context.hints.read(), generation=generation))
    must_be_alive(context, newer)
    served = memory.publish(newer, generation, elsewhere=False)
    Attempts(context, memory.refusals).note_success(newer)
    context.notifier.notify()
    return served


def keep_borrowed(context: ProfileContext, memory: Memory, newer: Credential) -> Credential:
    """Publish a credential that another tool keeps; it is written nowhere.

    Raises:
        TransientError: It came already expired.
    """
    must_be_alive(context, newer)
    Attempts(context, memory.refusals).note_success(newer)
    return memory.publish(newer, 0, elsewhere=False)


def must_be_alive(context: ProfileContext, newer: Credential) -> None:
    """Raise `TransientError` for a credential that came already expired, or renewing would never pause (TIM-4)."""
    if context.freshness(newer) is Freshness.EXPIRED:
        message = "the provider answered with a credential that had already expired"
        raise TransientError(message, hint="Check the clock of this machine")


def save(store: CredentialStore, record: Record, *, clock: Clock, unsaved: Callable[[StoreError], None]) -> None:
    """Save a record, under the lock of its profile, trying for as long as the process lives.

    Nobody else has it, and what it replaces is already dead at the provider. When the patience is over and the save
    still fails, `unsaved` is called once: from then on this process uses the credential although a crash would lose it.

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
