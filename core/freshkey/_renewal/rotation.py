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

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from attrs import define, evolve, field

from freshkey import _failpoints, expiry
from freshkey._http.circuit_breaker import GuardedCall
from freshkey._renewal import persist
from freshkey._renewal.retry import Policy, call_with_retry
from freshkey._renewal.single_flight import process_is_exiting
from freshkey._renewal.single_use import SingleUseRefresh
from freshkey._sources import precedence
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    LoginRequired,
    ProviderRefused,
    StoreError,
    StoreUnavailable,
    TransientError,
)
from freshkey.events import Event, SignedOut, Unsaved
from freshkey.expiry import Freshness
from freshkey.model.credential import Credential
from freshkey.model.interaction import NonInteractive
from freshkey.model.source import Detected, Source
from freshkey.model.storage import Record, Snapshot
from freshkey.secret import Secret


if TYPE_CHECKING:
    from freshkey._renewal.context import ProfileContext

log = logging.getLogger("freshkey")

LOCK_TIMEOUT: Final = 30.0
"""Seconds to wait for another process's renewal of the same profile."""


class Memory(Protocol):
    """What a rotation may do to the keeper's memory; `Holding` is it."""

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


@define
class Rotation:
    """One attempt to have a usable credential in memory.

    Attributes:
        context: Everything about the profile.
        memory: Where the result goes.
        held: What was in memory when it was decided to renew, or None.
        generation: The generation of `held`.
        refused: The credential that a server answered with 401, or None.
        by_user: A person asked to renew now: nothing that is there will do, and pauses do not count.
        by_timer: Nobody waits: a timer renews ahead of time.
        may_ask: If only a person can go on, the one whom the application brought may be asked.
        pause: After a failure, the seconds until the next attempt; 0 leaves it to the caller.
    """

    context: ProfileContext
    memory: Memory
    held: Credential | None = None
    generation: int = 0
    refused: Credential | None = None
    by_user: bool = False
    by_timer: bool = False
    may_ask: bool = True
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
        if self.held is None and not self.by_user:
            # Cold start: reading needs no lock, and most starts find a fresh credential.
            there = self.adopt_stored()
            if there is not None:
                return there
        _failpoints.hit("before_lock")
        with self._lock():
            _failpoints.hit("lock_held")
            there = self.adopt_stored()
            if there is not None:
                return there
            self._respect_others()
            try:
                return self._keep(self._obtain())
            except FreshkeyError as error:
                self._note_failure(error)
                raise

    def adopt_stored(self) -> Credential | None:
        """Read what is there; publish and return it if that is the answer, else return None."""
        self._read()
        self._notice_sign_out()
        there = self._stored if self._winner is not None and self._winner.owned else None
        if there is None or self.by_user or (self.held is not None and self._snapshot.generation <= self.generation):
            return None
        if self.refused is not None and there.authorises_like(self.refused):
            return None
        if self.context.freshness(there) is Freshness.EXPIRED:
            return None
        return self.memory.publish(there, self._snapshot.generation, elsewhere=True)

    def read(self) -> tuple[Source | None, Credential | None, int]:
        """Read what is there and publish nothing: the winning source, the stored credential, its generation."""
        self._read()
        return self._winner, self._stored, self._snapshot.generation

    # --- reading ---------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Walk the sources as `freshkey explain` prints them; the store is read only if the walk reaches it."""
        self._winner, self._stored, self._snapshot = None, None, Snapshot()
        read_once = functools.cache(self._read_store)
        context = self.context
        steps = precedence.walk(context.profile, context.description, self._detect, read_once, context.consent)
        self._winner = next((step.source for step in steps if step.wins), None)

    def _detect(self, source: Source) -> Detected | None:
        return self.context.hooks.detect(self.context.profile, source)

    def _read_store(self) -> Credential | None:
        self._snapshot = self._load()
        record = self._snapshot.record
        if record is not None and record.payload is not None:
            self._stored = decode(self.context, record.payload)
        return self._stored

    def _load(self) -> Snapshot:
        """Read the store; once more if another process is known to have saved a newer generation."""
        snapshot = self.context.store.load()
        known = self.context.hints.read().generation
        if snapshot.generation < known:
            snapshot = self.context.store.load()
            if snapshot.generation < known:
                log.warning("%s: the store holds an older generation than was saved", self.context.profile.name)
        return snapshot

    def _notice_sign_out(self) -> None:
        record = self._snapshot.record
        signed_out = record is not None and record.payload is None and self._winner is None
        if signed_out and self.held is not None and self._snapshot.generation > self.generation:
            name = self.context.profile.name
            self.memory.drop(SignedOut(profile=name, revoked=None, detail="another process signed out"))
            raise login_required(self.context, "another process signed out")

    # --- the lock and those who share it ----------------------------------------------------------------------

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Exclude every other renewal of this profile."""
        source = self._winner or (self.context.description.source(self.held.source) if self.held else None)
        if not self.context.profile.bare and (source is None or source.owned):
            with self.context.store.lock(LOCK_TIMEOUT):
                yield
            return
        # Another tool's credential needs no store, but eight processes must not start that tool eight times.
        release = self._lock_borrowed()
        try:
            yield
        finally:
            release()

    def _lock_borrowed(self) -> Callable[[], None]:
        from freshkey._files.private import file_name
        from freshkey._interprocess.lock import ProfileLock

        profile = self.context.profile
        try:
            return ProfileLock(profile.state_dir, file_name(profile.name)).acquire(LOCK_TIMEOUT)
        except StoreUnavailable as error:
            # A machine without a place for locks can still use what another tool keeps.
            log.warning("%s: going on without a lock: %s", profile.name, error.message)
            return lambda: None

    def _respect_others(self) -> None:
        """Keep the pauses that all processes share."""
        hints = self.context.hints.read()
        wait = hints.seconds_to_wait(self.context.clock.now())
        # A pause is about one source: another tool's credential is not to wait for the sign-in's server.
        if wait <= 0 or self.by_user or self._winner is None or hints.source != self._winner.id:
            return
        # What failed in bare mode was handed to another process, and this one got something else.
        if hints.error and not self.context.profile.bare:
            if hints.error == hints.sign_in_needed and self._winner.owned:
                return  # its generation says whether that still holds
            self.pause = wait
            if hints.error == hints.sign_in_needed:
                raise LoginRequired(hints.error, hint=hints.hint)
            raise TransientError(hints.error, retry_after=wait, hint=hints.hint)
        if self.refused is not None and (self._winner.owned or self._is_new(self.refused)):
            self.pause = wait
            raise TransientError(
                "the provider refuses a credential that was obtained a moment ago",
                retry_after=wait,
                hint=f"Try again in {wait:.0f} s; if it persists: freshkey whoami {self.context.profile.name}",
            )

    def _is_new(self, credential: Credential) -> bool:
        """Tell whether a credential of this process was obtained within the floor between two attempts.

        What another process got from another tool a moment ago is not shared with this one, and no reason to wait.
        """
        age = expiry.seconds_since(credential.obtained, self.context.clock.now())
        return age < expiry.attempt_floor(credential.lifetime)

    def _note_failure(self, error: FreshkeyError) -> None:
        """Tell the processes that wait for the lock what happened, so that they do not repeat it."""
        source, hints = self._winner, self.context.hints.read()
        if isinstance(error, LoginRequired) and (source is None or source.owned):
            return  # looking whether somebody has signed in costs nothing, and nothing else is tried
        lifetime = self._stored.lifetime if self._stored else None
        failures = hints.failures + 1
        self.pause = expiry.pause_after_failure(
            lifetime, failures, getattr(error, "retry_after", None), self.context.random()
        )
        if source is None or isinstance(error, StoreError):
            return  # nobody was asked for anything
        # What is wrong with a configuration was found out here, and whoever mended it need not wait.
        pause = 0.0 if isinstance(error, ConfigurationError) else self.pause
        hints = evolve(hints, source=source.id, attempted=self.context.clock.now(), pause=pause, failures=failures)
        needed = error.message if isinstance(error, LoginRequired) else hints.sign_in_needed
        self.context.hints.write(evolve(hints, error=error.message, hint=error.hint, sign_in_needed=needed))

    # --- asking the provider ----------------------------------------------------------------------------------

    def _obtain(self) -> Credential:
        """Get a newer credential from the winning source, or a first one if nothing is there."""
        try:
            return self._renew_winner()
        except LoginRequired as error:
            self._note_refusal(error)
            source = precedence.first_owned(self.context.profile, self.context.description)
            if self.context.interaction is None or not self.may_ask or source is None or not source.interactive:
                raise
            # The application brought a person along: ask once, never again for this loss.
            return self.context.hooks.acquire(self.context.profile, source, self.context.interaction)

    def _renew_winner(self) -> Credential:
        source = self._winner
        if source is None:
            found = "the stored credential is corrupt" if self._snapshot.damaged else "there is no credential"
            raise login_required(self.context, found)
        if source.owned:
            self._heed_refusal()
        current = self._stored if source.owned else self.held
        if current is not None and current.source == source.id and current.renewable:
            return self._spend(current) if source.owned else self._refresh_with_retry(current)
        if source.owned and source.interactive:
            raise login_required(self.context, "the sign-in has ended and cannot be renewed")
        return self._acquire(source)

    def _note_refusal(self, error: LoginRequired) -> None:
        """Remember that what is stored cannot be renewed any more."""
        if self._stored is None or self._winner is None or not self._winner.owned:
            return
        why, generation = error.message, self._snapshot.generation
        self.memory.refusals[generation] = why
        hints = self.context.hints.read()
        hints = evolve(hints, error=why, hint=error.hint, sign_in_needed=why, refused_generation=generation)
        self.context.hints.write(hints)

    def _heed_refusal(self) -> None:
        """Never send again what was refused for good (ROT-5)."""
        generation, hints = self._snapshot.generation, self.context.hints.read()
        why = self.memory.refusals.get(generation)
        if why is None and hints.refused_generation == generation:
            why = hints.sign_in_needed
        if why is not None and self._stored is not None:
            raise login_required(self.context, why)

    def _spend(self, current: Credential) -> Credential:
        if not self.context.description.single_use or current.renewal_secret is None:
            return self._refresh_with_retry(current)
        try:
            return SingleUseRefresh(self.context, current, self._snapshot, forced=self.by_user).renew()
        except LoginRequired:
            # Nobody else can have renewed under our lock, unless the lock does not reach them: another host.
            before = self._snapshot.generation
            self._read()
            if self._stored is None or self._snapshot.generation == before:
                raise
            if self.context.freshness(self._stored) is Freshness.FRESH:
                return self._stored
            return SingleUseRefresh(self.context, self._stored, self._snapshot, forced=self.by_user).renew()

    def _refresh_with_retry(self, current: Credential) -> Credential:
        return self._call_with_retry(
            lambda: self.context.hooks.refresh(self.context.profile, current, self.context.reporter)
        )

    def _acquire(self, source: Source) -> Credential:
        nobody = NonInteractive(self.context.profile.name, self.context.reporter, attended=not self.by_timer)
        found = self._call_with_retry(lambda: self.context.hooks.acquire(self.context.profile, source, nobody))
        if self.refused is not None and found.authorises_like(self.refused):
            raise ProviderRefused(
                f"the credential from {source.title} was refused and there is no newer one",
                hint="Replace it there",
            )
        return found

    def _call_with_retry(self, call: Callable[[], Credential]) -> Credential:
        return call_with_retry(
            call,
            Policy(),
            clock=self.context.clock,
            random=self.context.random,
            stop=process_is_exiting,
            guarded=GuardedCall(self.context.breaker, forced=self.by_user),
        )

    # --- keeping the answer -----------------------------------------------------------------------------------

    def _keep(self, newer: Credential) -> Credential:
        """Save an owned credential, publish it, and tell other processes."""
        source = self.context.description.source(newer.source)
        if source is not None and source.owned:
            return self.keep_owned(newer, self._snapshot.generation + 1)
        self._must_be_alive(newer)
        self._leave_hints(newer)
        return self.memory.publish(newer, 0, elsewhere=False)

    def keep_owned(self, newer: Credential, generation: int) -> Credential:
        """Under the lock: make `newer` durable as `generation`, then publish it and ring the bell."""
        record = Record(
            generation=generation, payload=self.context.codec.encode(newer), written_at=self.context.clock.now().wall
        )
        persist.save(
            self.context.store, record, clock=self.context.clock, unsaved=lambda e: self._use_unsaved(newer, e)
        )
        _failpoints.hit("read_back")
        self.context.hints.write(evolve(self.context.hints.read(), generation=generation))
        self._must_be_alive(newer)
        served = self.memory.publish(newer, generation, elsewhere=False)
        self._leave_hints(newer)
        self.context.notifier.notify()
        return served

    def _must_be_alive(self, newer: Credential) -> None:
        """Count a credential that came already expired as a failure, or renewing would never pause (TIM-4)."""
        if self.context.freshness(newer) is Freshness.EXPIRED:
            raise TransientError(
                "the provider answered with a credential that had already expired",
                hint="Check the clock of this machine",
            )

    def _use_unsaved(self, newer: Credential, error: StoreError) -> None:
        served = self.memory.publish(newer, self.generation, elsewhere=False)
        self.memory.serve_early(served)
        self.memory.emit(Unsaved(profile=self.context.profile.name, error=error.message))

    def _leave_hints(self, newer: Credential) -> None:
        """Say that the last attempt succeeded, and when the next one may be made."""
        self.context.hints.write(
            evolve(
                self.context.hints.read(),
                source=newer.source,
                attempted=self.context.clock.now(),
                pause=expiry.attempt_floor(newer.lifetime),
                failures=0,
                error=None,
                hint=None,
            )
        )


def decode(context: ProfileContext, payload: Secret) -> Credential:
    """Read a stored credential.

    Raises:
        LoginRequired: It belongs to another server or client than the profile's, and is never sent to this one.
        RecordUnreadable: It is corrupt, or a newer version wrote it.
    """
    credential = context.codec.decode(payload)
    configured = context.description.binding
    for name, value in credential.binding.items():
        if configured.get(name, value) != value:
            raise login_required(context, f"the sign-in belongs to another {name.replace('_', ' ')}")
    return credential


def login_required(context: ProfileContext, message: str) -> LoginRequired:
    """Return the error that says why only a person can go on, and how."""
    name = context.profile.name
    if precedence.first_owned(context.profile, context.description) is not None:
        return LoginRequired(message, profile=name, hint=f"Run: freshkey login {name}")
    looked = "; ".join(
        source.title for source in context.description.sources if source.handed_in or not context.profile.bare
    )
    return LoginRequired(message, profile=name, hint=f"Looked for: {looked}")
