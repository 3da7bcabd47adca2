"""What a store holds of a profile, and what every store can do."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from attrs import frozen

from freshkey.clock import Moment
from freshkey.secret import Secret


@frozen(kw_only=True)
class Record:
    """What a store holds of a profile.

    Attributes:
        generation: Grows by one with each record, also across a sign-out.
        payload: The encoded credential (`freshkey._stores.records.codec.Codec`); None is a tombstone: signed out.
        written_at: Seconds since 1970-01-01T00:00:00Z by the wall clock of the writer.
    """

    generation: int
    payload: Secret | None
    written_at: float


@frozen(kw_only=True)
class Intent:
    """The note that a refresh token is about to be spent; no secret in it.

    Attributes:
        generation: The generation that the result will be.
        token_hash: Keyed hash of the refresh token, to recognize it again.
        noted: Both clocks when it was written.
        pid: The process that wrote it.
        attempts: How often the token may have been sent since, this one included.
    """

    generation: int
    token_hash: str
    noted: Moment
    pid: int
    attempts: int = 1


@frozen(kw_only=True)
class Snapshot:
    """One reading of a store.

    Attributes:
        record: The highest complete record, or None if there never was one.
        intent: An intent whose result was never saved, or None.
        damaged: A newer record exists but is incomplete or corrupt, so `record` was fallen back to.
    """

    record: Record | None = None
    intent: Intent | None = None
    damaged: bool = False

    @property
    def generation(self) -> int:
        """The generation of the record, 0 if there is none."""
        return self.record.generation if self.record else 0

    @property
    def payload(self) -> Secret | None:
        """The encoded credential of the record; None without a record, and after a sign-out."""
        return self.record.payload if self.record else None


class CredentialStore(Protocol):
    """Where the owned credential of one profile is kept between processes; every call may take seconds.

    Each method raises `StoreUnavailable` when the store is locked, missing, full or does not answer, and
    `RecordUnreadable` when what it holds cannot be read by this version. `freshkey_testing.StoreContract` checks
    all of this for any implementation.
    """

    kind: str
    """What a person reads: ``keyring``, ``file``, …"""

    def lock(self, timeout: float) -> AbstractContextManager[None]:
        """Exclude every other process and thread that renews this profile; wait `timeout` seconds at the most.

        Raises:
            StoreBusy: Somebody else holds it; the message names the process where it is known.
        """

    def probe(self) -> None:
        """Prove, by writing, reading back and deleting something, that a credential could be kept."""

    def load(self) -> Snapshot:
        """Read the highest complete record. Needs no lock."""

    def intend(self, intent: Intent) -> None:
        """Under the lock: write an intent where the result will go, and read it back."""

    def save(self, record: Record) -> None:
        """Under the lock: make `record` the newest, and read it back. Resolves the intent of its generation.

        A tombstone also removes what was kept before. Saving the newest record again is no conflict if it is identical:
        an attempt that failed, or was given up at its deadline, may have written it, and is repeated.

        Raises:
            GenerationConflict: The store holds a generation that is not older; nothing was written.
        """

    def withdraw(self, intent: Intent) -> None:
        """Under the lock: remove an intent whose token was certainly not spent, or certainly refused."""
