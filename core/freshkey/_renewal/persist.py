"""Saving a renewed credential: durable before any caller gets it, then published; an event reports if saving fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final, NoReturn, Protocol

from freshkey import _failpoints
from freshkey._renewal.attempts import Attempts
from freshkey._renewal.binding import binding_of
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.failure import describe_end
from freshkey._renewal.known import note_saved
from freshkey._renewal.reading import login_required
from freshkey._renewal.single_flight import process_is_exiting
from freshkey._stores.keychain.prompts import background
from freshkey._text.tracebacks import with_note_of
from freshkey.clock import Clock
from freshkey.errors import (
    FreshkeyError,
    GenerationConflict,
    LoginRequired,
    StoreError,
    StoreUnavailable,
    TransientError,
    describe_raise,
)
from freshkey.events import Event, SignedOut, Unsaved
from freshkey.expiry import Freshness
from freshkey.model.credential import Credential
from freshkey.model.storage import CredentialStore, Record


log = logging.getLogger(__name__)

SAVE_TIMEOUT: Final = 10.0
"""How long callers, and an exiting interpreter, wait for a save that keeps failing, in seconds."""

MIN_PAUSE: Final = 0.25
MAX_PAUSE: Final = 5.0


class Memory(Protocol):
    """What a rotation may do to the keeper's memory; implemented by `ManagedCredential`."""

    refusals: dict[int, LoginRequired]
    """Why the user must act, by generation; also kept in memory, because the hints file may not be writable."""

    def publish(self, credential: Credential, generation: int, *, elsewhere: bool) -> Credential:
        """Serve `credential` from now on; return it as it is served."""

    def drop(self, event: SignedOut) -> None:
        """Serve nothing from now on."""

    def serve_early(self, credential: Credential) -> None:
        """Give `credential` to callers that wait for this rotation, although the rotation continues."""

    def emit(self, event: Event) -> None:
        """Send an event to subscribers."""

    closing: threading.Event
    """Set once the keeper is closed: nothing more is tried after a failure."""

    def note_retry(self, error: FreshkeyError, pause: float) -> None:
        """An attempt failed with `error`, and the next one follows after `pause` seconds."""


def keep_owned(
    context: ProfileContext, memory: Memory, newer: Credential, generation: int, *, held_generation: int = 0
) -> Credential:
    """Under the lock: save `newer`, an owned credential, as `generation`, then publish and announce it.

    Until it can be saved it counts as `held_generation`, what it replaces in memory or in the store.

    Raises:
        StoreError: See `save`.
        TransientError: It had already expired when it was received; it is saved anyway.
        ProviderRefused: Its access token cannot be used; it is saved anyway.
    """

    def use_unsaved(error: StoreError) -> None:
        memory.serve_early(memory.publish(newer, held_generation, elsewhere=False))
        memory.emit(Unsaved(profile=context.profile.name, error=error.message, code=error.code))

    _save_as(context, newer, generation, use_unsaved)
    # Checked only after saving: even if the access token is expired, its refresh token is the only one that works.
    must_be_alive(context, newer)
    served = memory.publish(newer, generation, elsewhere=False)
    Attempts(context, memory.refusals).note_success(newer)
    context.notifier.notify()
    return served


def keep_refused(context: ProfileContext, newer: Credential, generation: int) -> Record | None:
    """Under the lock: save what a renewal returned although a server refuses it, and publish nothing.

    Whatever is obtained in its place, what renews this one must outlive a failure to do so: the provider may no longer
    accept what renewed the one before.

    Returns:
        What was saved; None if the store kept failing for `SAVE_TIMEOUT`. The credential that takes its place is saved,
        too, so this one is not worth more of a caller's time.

    Raises:
        GenerationConflict: The store holds something newer.
    """
    try:
        return _save_as(context, newer, generation, _give_up)
    except GenerationConflict:
        raise
    except StoreError as error:
        log.warning("%s: cannot store the renewed sign-in: %s [%s]", context.profile.label, error, error.code)
        return None


def _give_up(error: StoreError) -> NoReturn:
    raise error


def _save_as(
    context: ProfileContext, newer: Credential, generation: int, unsaved: Callable[[StoreError], None]
) -> Record:
    """Save a credential as `generation`, and note that; `unsaved` as in `save`."""
    payload = context.codec.encode(newer, bound=binding_of(context))
    record = Record(generation=generation, payload=payload, written_at=context.clock.now().wall)
    # `CredentialStore.save` reads back what it wrote: some keychains report success but store nothing, and the
    # provider no longer accepts the old refresh token (ROT-4).
    save(context.store, record, clock=context.clock, unsaved=unsaved)
    _failpoints.hit("read_back")
    note_saved(context, context.hints.read(), record)
    return record


def keep_borrowed(context: ProfileContext, memory: Memory, newer: Credential, subject: str | None) -> Credential:
    """Publish a credential that another tool stores; nothing is written. `subject` is what the attempt was about.

    Raises:
        TransientError: It had already expired when it was received.
    """
    must_be_alive(context, newer)
    Attempts(context, memory.refusals).note_success(newer, subject)
    return memory.publish(newer, 0, elsewhere=False)


def must_be_alive(context: ProfileContext, newer: Credential) -> None:
    """Raise an error if a credential was unusable or expired on arrival; otherwise renewals would loop (TIM-4)."""
    if newer.unusable is not None:
        raise newer.unusable.for_another_caller()
    source = context.description.source(newer.source)
    if context.is_over(newer) and source is not None and source.needs_sign_in:
        raise login_required(context, describe_end(source), code="sign-in-ended")
    if context.freshness(newer) is Freshness.EXPIRED:
        message = "the provider returned a credential that had already expired"
        hint = "Check this machine's clock. If it is right, ask who hands the credential out why its lifetime is over"
        raise TransientError(message, hint=hint, code="credential-already-expired")


def save(store: CredentialStore, record: Record, *, clock: Clock, unsaved: Callable[[StoreError], None]) -> None:
    """Save a record under the lock of its profile, and keep trying as long as the process lives.

    No other copy exists, and the provider has already invalidated the token it replaces. If saving still fails after
    `SAVE_TIMEOUT`, `unsaved` is called once: from then on this process uses the credential although a crash would lose
    it.

    Raises:
        GenerationConflict: The store holds something newer.
        StoreError: The interpreter is exiting, and `SAVE_TIMEOUT` has passed.
    """
    started = clock.elapsed()
    pause = MIN_PAUSE
    told = False
    while (failure := _attempt(store, record, no_one_waits=told)) is not None:
        left = started + SAVE_TIMEOUT - clock.elapsed()
        if left <= 0 and process_is_exiting():
            # No caller is left, and perhaps no subscriber: the log is the only place to report the loss.
            message = "the process is exiting; the renewed sign-in could not be stored and is lost: %s [%s]"
            log.error(message, failure, failure.code)
            raise failure
        if left <= 0 and not told:
            unsaved(failure)
            told = True
        clock.wait(threading.Event(), min(pause, left) if left > 0 else pause)
        pause = min(MAX_PAUSE, 2 * pause)


def _attempt(store: CredentialStore, record: Record, *, no_one_waits: bool) -> StoreError | None:
    """Save once; return why that failed, whatever a third-party store raises."""
    try:
        with background(really=no_one_waits):
            store.save(record)
    except GenerationConflict:
        raise
    except StoreError as error:
        return error
    except Exception as error:  # noqa: BLE001  the old token is already spent: giving up would lose the sign-in
        message = f"the {store.kind} store raised an unexpected error: {describe_raise(error)}"
        return with_note_of(error, StoreUnavailable(message, code="store-broken"))
    return None
