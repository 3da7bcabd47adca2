"""One renewal, from lock to published result, in the order that loses nothing.

1. One rotation per profile and process: with `ManagedCredential` later callers share the first one's result, and its
   error.
2. Take the profile's lock, bounded. Callers whose credential is still valid do not wait for any of this.
3. Read the store again: if another process was faster, its credential is the answer.
4. If a single-use refresh token is about to be spent, write an intent first: it proves that the store can be
   written, and tells the next process what happened if this one dies.
5. Ask the provider, under the retry policy. A deadline releases waiters, never the lock.
6. Save the answer as the next generation before anybody gets it.
7. Publish it to memory, leave hints, notify other processes, release the lock; events go out last.

A failed renewal never erases or blanks anything.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from attrs import define, field

from freshkey import _failpoints
from freshkey._renewal.attempts import Attempts
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.persist import Memory, keep_borrowed, keep_owned
from freshkey._renewal.reading import Reading, login_required, read
from freshkey._renewal.single_flight import one_process, process_is_exiting
from freshkey._renewal.single_use import SingleUseRefresh
from freshkey._sources import precedence
from freshkey.errors import FreshkeyError, LoginRequired, ProviderRefused
from freshkey.events import SignedOut
from freshkey.expiry import Freshness
from freshkey.model.credential import Credential
from freshkey.model.interaction import NonInteractive
from freshkey.model.source import Source


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
    _reading: Reading = field(init=False, factory=Reading)

    @property
    def _attempts(self) -> Attempts:
        return Attempts(self.context, self.memory.refusals)

    def run(self) -> Credential:
        """Return a usable credential, published to memory.

        Raises:
            FreshkeyError: There is none; see each class for what the caller does next.
        """
        # Cold start: reading needs no lock, and most starts find a fresh credential.
        if self.held is None and not self.by_user and (there := self.adopt_stored()) is not None:
            return there
        _failpoints.hit("before_lock")
        with self._one_process():
            _failpoints.hit("lock_held")
            if (there := self.adopt_stored()) is not None:
                return there
            self._respect_pauses()
            try:
                return self._keep(self._obtain())
            except FreshkeyError as error:
                self.pause = self._attempts.note_failure(error, self._reading)
                raise

    def adopt_stored(self) -> Credential | None:
        """Read what is there; publish and return it if that is the answer, else return None."""
        self._read()
        self._notice_sign_out()
        there, generation = self._reading.stored, self._reading.snapshot.generation
        if there is None or not self._reading.owned or self.by_user:
            return None
        if self.held is not None and generation <= self.generation:
            return None
        if self.refused is not None and there.authorizes_like(self.refused):
            return None
        if self.context.freshness(there) is Freshness.EXPIRED:
            return None
        return self.memory.publish(there, generation, elsewhere=True)

    def _read(self) -> None:
        self._reading = Reading()  # nothing is known while it fails
        self._reading = read(self.context)

    def _notice_sign_out(self) -> None:
        record = self._reading.snapshot.record
        signed_out = record is not None and record.payload is None and self._reading.winner is None
        if signed_out and self.held is not None and self._reading.snapshot.generation > self.generation:
            name = self.context.profile.name
            self.memory.drop(SignedOut(profile=name, revoked=None, detail="another process signed out"))
            raise login_required(self.context, "another process signed out")

    def _one_process(self) -> AbstractContextManager[object]:
        source = self._reading.winner or (self.context.description.source(self.held.source) if self.held else None)
        owned = not self.context.profile.bare and (source is None or source.owned)
        return one_process(self.context.profile, self.context.store if owned else None)

    def _respect_pauses(self) -> None:
        """Keep the pauses that all processes share, unless somebody asked to renew now."""
        reason = None if self.by_user else self._attempts.reason_to_wait(self._reading.winner, self.refused)
        if reason is not None:
            error, self.pause = reason
            raise error

    # --- asking the provider ----------------------------------------------------------------------------------

    def _obtain(self) -> Credential:
        """Get a newer credential from the winning source, or a first one if nothing is there."""
        try:
            return self._renew_winner()
        except LoginRequired as error:
            self._attempts.note_refusal(error, self._reading)
            source = precedence.first_owned(self.context.profile, self.context.description)
            if self.context.interaction is None or not self.may_ask or source is None or not source.interactive:
                raise
            # The application brought a person along: ask once, never again for this loss.
            return self.context.hooks.acquire(self.context.profile, source, self.context.interaction)

    def _renew_winner(self) -> Credential:
        source = self._reading.winner
        if source is None:
            found = "the stored credential is corrupt" if self._reading.snapshot.damaged else "there is no credential"
            raise login_required(self.context, found)
        if source.owned:
            self._attempts.heed_refusal(self._reading)
        current = self._reading.stored if source.owned else self.held
        if current is not None and current.source == source.id and current.renewable:
            return self._spend(current) if source.owned else self._refresh(current)
        if source.owned and source.interactive:
            raise login_required(self.context, "the sign-in has ended and cannot be renewed")
        return self._acquire(source)

    def _spend(self, current: Credential) -> Credential:
        if not self.context.description.single_use or current.renewal_secret is None:
            return self._refresh(current)
        try:
            return self._spend_once(current)
        except LoginRequired:
            # Nobody else can have renewed under our lock, unless the lock does not reach them: another host.
            before = self._reading.snapshot.generation
            self._read()
            there = self._reading.stored
            if there is None or self._reading.snapshot.generation == before:
                raise
            return there if self.context.freshness(there) is Freshness.FRESH else self._spend_once(there)

    def _spend_once(self, current: Credential) -> Credential:
        return SingleUseRefresh(self.context, current, self._reading.snapshot, forced=self.by_user).renew()

    def _refresh(self, current: Credential) -> Credential:
        context = self.context
        return self._with_retry(lambda: context.hooks.refresh(context.profile, current, context.reporter))

    def _acquire(self, source: Source) -> Credential:
        nobody = NonInteractive(self.context.profile.name, self.context.reporter, attended=not self.by_timer)
        found = self._with_retry(lambda: self.context.hooks.acquire(self.context.profile, source, nobody))
        if self.refused is not None and found.authorizes_like(self.refused):
            raise ProviderRefused(
                f"the credential from {source.title} was refused and there is no newer one", hint="Replace it there"
            )
        return found

    def _with_retry(self, call: Callable[[], Credential]) -> Credential:
        return self.context.with_retry(call, stop=process_is_exiting, forced=self.by_user)

    # --- keeping the answer -----------------------------------------------------------------------------------

    def _keep(self, newer: Credential) -> Credential:
        """Save an owned credential, publish it, and tell other processes."""
        source = self.context.description.source(newer.source)
        if source is None or not source.owned:
            return keep_borrowed(self.context, self.memory, newer)
        generation = self._reading.snapshot.generation + 1
        return keep_owned(self.context, self.memory, newer, generation, held_generation=self.generation)
