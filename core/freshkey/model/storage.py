"""The data that a store contains for a profile, and the protocol that every store implements."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal, Protocol, TypeAlias

from attrs import frozen

from freshkey.clock import Moment
from freshkey.secret import Secret


Outcome: TypeAlias = Literal["unanswered", "lost", "in-between"]
"""How the last sending of a refresh token ended.

- ``unanswered``: it is in progress, or its process ended during it.
- ``lost``: it was sent, and there was no usable response.
- ``in-between``: something between this machine and the server answered; the token probably did not reach the server.
"""


@frozen(kw_only=True)
class Record:
    """One generation of a profile's credential in a store.

    Attributes:
        generation: Grows with each record, including sign-outs; usually by one.
        payload: The encoded credential (`freshkey._stores.records.codec.Codec`); None is a tombstone: signed out.
        written_at: Seconds since 1970-01-01T00:00:00Z by the writer's wall clock.
    """

    generation: int
    payload: Secret | None
    written_at: float


@frozen(kw_only=True)
class Intent:
    """A record that a refresh token is about to be spent, and what became of it; it contains no secret.

    Only sendings that may have reached the server count. Those that something in between answered do not.

    Attributes:
        generation: The generation that the result will have.
        token_hash: Keyed hash of the refresh token, to recognize it later.
        noted: Reading of both clocks at the first sending that counts; backdated if that time is unknown.
        pid: The process that wrote it.
        attempts: How many sendings, or attempts with several of them, count, including one in progress.
        outcome: How the last sending ended.
        last_sent: Reading of both clocks at the last sending that counts; None if an older version wrote the intent.
        answered_at: When something in between answered last, or None.
        doubts: How many such answers, each ten minutes or more after the previous one, may have been the server's.
        doubted_at: When the last of those came.
        refused: Code of the error with which the provider rejected the token for good: it is never sent again.
    """

    generation: int
    token_hash: str
    noted: Moment
    pid: int
    attempts: int = 1
    outcome: Outcome = "unanswered"
    last_sent: Moment | None = None
    answered_at: Moment | None = None
    doubts: int = 0
    doubted_at: Moment | None = None
    refused: str | None = None


@frozen(kw_only=True)
class Snapshot:
    """The result of reading a store once.

    Attributes:
        record: The newest complete record, or None if there never was one.
        intent: An intent whose result was never saved, or None.
        damaged: A newer record exists but is incomplete or corrupt, so `record` is an older one.
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
        """The encoded credential of the record; None if there is no record, or after a sign-out."""
        return self.record.payload if self.record else None


class CredentialStore(Protocol):
    """Stores the owned credential of one profile, shared by all processes; every call may take seconds.

    Each method raises `StoreUnavailable` if the store is locked, missing, full or not responding, and
    `RecordUnreadable` if this version cannot read its contents. `freshkey_testing.StoreContract` checks all of this for
    any implementation.

    A store that is not always the same place may have a property ``identity``, a `str` that tells the place that the
    last call used from others: what was saved in one does not make a record in another one outdated.

    A store that can list may have a method ``accounts() -> Iterable[str]``, called on the store of a profile without
    an account: the accounts (`Profile.account`) of that profile for which a credential is stored. Without it, freshkey
    keeps a list of those that are used on this machine.
    """

    kind: str
    """Display name: ``keyring``, ``file``, …"""

    def lock(self, timeout: float) -> AbstractContextManager[None]:
        """Take the lock that every renewal of this profile holds; wait up to `timeout` seconds for it.

        Raises:
            StoreBusy: Another process or thread holds the lock; the message names the process if possible.
        """

    def probe(self) -> None:
        """Check that a credential can be stored, by writing, reading back and deleting a test value."""

    def load(self) -> Snapshot:
        """Read the newest complete record. Needs no lock."""

    def intend(self, intent: Intent) -> None:
        """With the lock held: write an intent where the result will go, and read it back."""

    def save(self, record: Record) -> None:
        """With the lock held: write `record` as the newest, and read it back. Resolves the intent of its generation.

        A tombstone also removes earlier records. Saving the newest record again is not a conflict if it is identical:
        an earlier attempt that failed or timed out may have written it.

        Raises:
            GenerationConflict: The store holds the same or a newer generation; nothing was written.
        """

    def withdraw(self, intent: Intent) -> None:
        """With the lock held: remove an intent whose token was definitely not spent, or definitely rejected."""
