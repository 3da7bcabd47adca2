"""One renewal, from lock to published result, in the order that loses nothing.

1. One rotation per profile and process: `Holding` lets later callers share the first one's result, error included.
2. Take the profile's lock, bounded. Callers whose credential is still valid do not wait for any of this.
3. Read the store again: if another process was faster, its credential is the answer.
4. If a single-use refresh token is about to be spent, write an intent first: it proves that the store can be
   written, and tells the next process what happened if this one dies.
5. Ask the provider, under the retry policy. A deadline releases waiters, never the lock.
6. Save the answer as the next generation before anybody gets it.
7. Publish it to memory, leave hints, ring the bell for other processes, release the lock; events go out last.

A failed renewal never erases or blanks anything.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from attrs import define, evolve, field

from freshkey import saving, schedule, sources
from freshkey.errors import (
    FreshkeyError,
    LoginRequired,
    ProviderRefused,
    StoreError,
    StoreUnavailable,
    TransientError,
)
from freshkey.events import Event, SignedOut, Unsaved
from freshkey.flight import process_is_exiting
from freshkey.model import Credential, Record, Sighting, Snapshot, Source
from freshkey.person import Nobody, Quiet
from freshkey.retry import Policy, persistently
from freshkey.schedule import Freshness
from freshkey.secret import Secret
from freshkey.spending import Spending
from freshkey.stores.bell import Hints


if TYPE_CHECKING:
    from freshkey.desk import Desk

log = logging.getLogger("freshkey")

LOCK_PATIENCE = 30.0
"""Seconds to wait for another process's renewal of the same profile."""


class Memory(Protocol):
    """What a rotation may do to the keeper's memory; `Holding` is it."""

    def publish(self, credential: Credential, generation: int, *, elsewhere: bool) -> Credential:
        """Serve `credential` from now on; return it as it is served."""

    def drop(self, event: SignedOut) -> None:
        """Serve nothing from now on."""

    def serve_early(self, credential: Credential) -> None:
        """Let those who wait for this rotation have `credential` although the rotation goes on."""

    def emit(self, event: Event) -> None:
        """Tell subscribers."""


@define
class Rotation:
    """One attempt to have a usable credential in memory.

    Attributes:
        desk: Everything about the profile.
        memory: Where the result goes.
        held: What was in memory when it was decided to renew, or None.
        generation: The generation of `held`.
        refused: The credential that a server answered with 401, or None.
        by_person: A person asked for it, so pauses between attempts do not count.
        pause: After a failure, the seconds until the next attempt.
    """

    desk: Desk
    memory: Memory
    held: Credential | None = None
    generation: int = 0
    refused: Credential | None = None
    by_person: bool = False
    pause: float = 0.0
    # What the last reading found.
    _winner: Source | None = field(init=False, default=None)
    _stored: Credential | None = field(init=False, default=None)
    _snapshot: Snapshot = field(init=False, factory=Snapshot)

    def run(self) -> Credential:
        """Return a usable credential, published to memory.

        Raises:
            FreshkeyError: There is none; see each class for what the caller does next.
        """
        if self.held is None:
            # Cold start: reading needs no lock, and most starts find a fresh credential.
            there = self.look()
            if there is not None:
                return there
        with self._lock():
            there = self.look()
            if there is not None:
                return there
            self._respect_others()
            try:
                newer = self._obtain()
            except FreshkeyError as error:
                self._note_failure(error)
                raise
            return self._keep(newer)

    def look(self) -> Credential | None:
        """Read what is there; publish and return it if that is the answer, else return None."""
        self._read()
        self._notice_sign_out()
        there = self._stored if self._winner is not None and self._winner.owned else None
        if there is None or (self.held is not None and self._snapshot.generation <= self.generation):
            return None
        if self.refused is not None and there.authorises_like(self.refused):
            return None
        state = self.desk.freshness(there)
        if state is Freshness.EXPIRED or (state is Freshness.DUE and self.held is not None):
            return None
        return self.memory.publish(there, self._snapshot.generation, elsewhere=self.held is not None)

    def survey(self) -> tuple[Source | None, Credential | None, int]:
        """Read what is there and publish nothing: the winning source, the stored credential, its generation."""
        self._read()
        return self._winner, self._stored, self._snapshot.generation

    # --- reading ---------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Walk the sources as `freshkey explain` prints them; the store is read only if the walk reaches it."""
        self._winner, self._stored, self._snapshot = None, None, Snapshot()
        steps = sources.walk(self.desk.profile, self.desk.description, self._look_at, self._read_store)
        self._winner = next((step.source for step in steps if step.wins), None)

    def _look_at(self, source: Source) -> Sighting | None:
        return self.desk.lifecycle.look(self.desk.profile, source)

    def _read_store(self) -> Credential | None:
        if self._snapshot.record is None:
            self._snapshot = self._load()
            record = self._snapshot.record
            if record is not None and record.payload is not None:
                self._stored = self._decode(record.payload)
        return self._stored

    def _load(self) -> Snapshot:
        """Read the store; once more if another process is known to have saved a newer generation."""
        snapshot = self.desk.store.load()
        known = self.desk.hints.read().generation
        if snapshot.generation < known:
            snapshot = self.desk.store.load()
            if snapshot.generation < known:
                log.warning("%s: the store holds an older generation than was saved", self.desk.profile.name)
        return snapshot

    def _decode(self, payload: Secret) -> Credential:
        credential = self.desk.codec.decode(payload)
        configured = self.desk.description.binding
        for name, value in credential.binding.items():
            if configured.get(name, value) != value:
                raise self._login_required(f"the sign-in belongs to another {name.replace('_', ' ')}")
        return credential

    def _notice_sign_out(self) -> None:
        record = self._snapshot.record
        signed_out = record is not None and record.payload is None and self._winner is None
        if signed_out and self.held is not None and self._snapshot.generation > self.generation:
            name = self.desk.profile.name
            self.memory.drop(SignedOut(profile=name, revoked=None, detail="another process signed out"))
            raise self._login_required("another process signed out")

    # --- the lock and those who share it ----------------------------------------------------------------------

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Exclude every other renewal of this profile."""
        if self._winner is None or self._winner.owned:
            with self.desk.store.lock(LOCK_PATIENCE):
                yield
            return
        # Another tool's credential needs no store, but eight processes must not start that tool eight times.
        release = self._lock_borrowed()
        try:
            yield
        finally:
            release()

    def _lock_borrowed(self) -> Callable[[], None]:
        from freshkey.stores.lock import ProfileLock

        try:
            return ProfileLock(self.desk.profile.state_dir, self.desk.profile.name).acquire(LOCK_PATIENCE)
        except StoreUnavailable as error:
            # A machine without a place for locks can still use what another tool keeps.
            log.warning("%s: going on without a lock: %s", self.desk.profile.name, error.message)
            return lambda: None

    def _respect_others(self) -> None:
        """Keep the pauses that all processes share."""
        hints = self.desk.hints.read()
        if hints.sign_in_needed and hints.refused_generation == self._snapshot.generation and self._stored:
            raise self._login_required(hints.sign_in_needed)
        wait = hints.seconds_to_wait(self.desk.clock.now())
        if wait <= 0 or self.by_person:
            return
        self.pause = wait
        if hints.error:
            raise TransientError(hints.error, retry_after=wait, profile=self.desk.profile.name)
        if self.refused is not None:
            raise TransientError(
                "the provider refuses a credential that was renewed a moment ago",
                retry_after=wait,
                profile=self.desk.profile.name,
                hint=f"Try again in {wait:.0f} s; if it persists: freshkey whoami {self.desk.profile.name}",
            )

    def _note_failure(self, error: FreshkeyError) -> None:
        """Tell the processes that wait for the lock what happened, so that they do not repeat it."""
        if self._winner is None and isinstance(error, LoginRequired):
            return  # nobody was asked, and looking again costs nothing
        hints = self.desk.hints.read()
        failures = hints.failures + 1
        lifetime = self._stored.lifetime if self._stored else None
        self.pause = schedule.pause_after_failure(
            lifetime, failures, getattr(error, "retry_after", None), self.desk.random()
        )
        hints = evolve(hints, attempted=self.desk.clock.now(), pause=self.pause, failures=failures, error=error.message)
        if isinstance(error, LoginRequired) and self._stored is not None:
            hints = evolve(hints, sign_in_needed=error.message, refused_generation=self._snapshot.generation)
        self.desk.hints.write(hints)

    # --- asking the provider ----------------------------------------------------------------------------------

    def _obtain(self) -> Credential:
        """Get a newer credential from the winning source, or a first one if nothing is there."""
        try:
            return self._renew_winner()
        except LoginRequired:
            source = sources.first_owned(self.desk.profile, self.desk.description)
            if self.desk.ask is None or source is None or not source.interactive:
                raise
            # The application brought a person along: ask once, never again for this rotation.
            return self.desk.lifecycle.acquire(self.desk.profile, source, self.desk.ask)

    def _renew_winner(self) -> Credential:
        source = self._winner
        if source is None:
            raise self._login_required("there is no credential")
        current = self._stored if source.owned else self.held
        if current is not None and current.source == source.id and current.renewable:
            return self._spend(current) if source.owned else self._persistently_refresh(current)
        if source.owned and source.interactive:
            raise self._login_required("the sign-in has ended and cannot be renewed")
        return self._acquire(source)

    def _spend(self, current: Credential) -> Credential:
        if not self.desk.description.single_use or current.renewal_secret is None:
            return self._persistently_refresh(current)
        try:
            return Spending(self.desk, current, self._snapshot).renew()
        except LoginRequired:
            # Nobody else can have renewed under our lock, unless the lock does not reach them: another host.
            before = self._snapshot.generation
            self._read()
            if self._stored is None or self._snapshot.generation == before:
                raise
            return Spending(self.desk, self._stored, self._snapshot).renew()

    def _persistently_refresh(self, current: Credential) -> Credential:
        return self._persistently(lambda: self.desk.lifecycle.refresh(self.desk.profile, current, Quiet()))

    def _acquire(self, source: Source) -> Credential:
        nobody = Nobody(self.desk.profile.name)
        found = self._persistently(lambda: self.desk.lifecycle.acquire(self.desk.profile, source, nobody))
        if self.refused is not None and found.authorises_like(self.refused):
            raise ProviderRefused(
                f"the credential from {source.title} was refused and there is no newer one",
                profile=self.desk.profile.name,
                hint="Replace it there",
            )
        return found

    def _persistently(self, call: Callable[[], Credential]) -> Credential:
        return persistently(call, Policy(), clock=self.desk.clock, random=self.desk.random, stop=process_is_exiting)

    # --- keeping the answer -----------------------------------------------------------------------------------

    def _keep(self, newer: Credential) -> Credential:
        """Save an owned credential, publish it, and tell other processes."""
        source = self.desk.description.source(newer.source)
        if source is None or not source.owned:
            self._leave_hints(self.desk.hints.read().generation, newer)
            return self.memory.publish(newer, 0, elsewhere=False)
        return self.keep_owned(newer, self._snapshot.generation + 1)

    def keep_owned(self, newer: Credential, generation: int) -> Credential:
        """Under the lock: make `newer` durable as `generation`, then publish it and ring the bell."""
        record = Record(
            generation=generation, payload=self.desk.codec.encode(newer), written_at=self.desk.clock.now().wall
        )
        saving.save(self.desk.store, record, clock=self.desk.clock, unsaved=lambda e: self._use_unsaved(newer, e))
        served = self.memory.publish(newer, generation, elsewhere=False)
        self._leave_hints(generation, newer)
        self.desk.bell.ring()
        return served

    def _use_unsaved(self, newer: Credential, error: StoreError) -> None:
        served = self.memory.publish(newer, self.generation, elsewhere=False)
        self.memory.serve_early(served)
        self.memory.emit(Unsaved(profile=self.desk.profile.name, error=error.message))

    def _leave_hints(self, generation: int, newer: Credential) -> None:
        pause = schedule.attempt_floor(newer.lifetime)
        self.desk.hints.write(Hints(generation=generation, attempted=self.desk.clock.now(), pause=pause))

    def _login_required(self, message: str) -> LoginRequired:
        name = self.desk.profile.name
        return LoginRequired(message, profile=name, hint=self._how_to_go_on(name))

    def _how_to_go_on(self, name: str) -> str:
        if sources.first_owned(self.desk.profile, self.desk.description) is not None:
            return f"Run: freshkey login {name}"
        looked = "; ".join(source.title for source in self.desk.description.sources)
        return f"Looked for: {looked}"
