"""One renewal, from lock to published result, in an order that never loses a token.

1. Run one rotation per profile and process: `ManagedCredential` lets later callers share its result or error.
2. Take the profile's lock, with a timeout. Callers whose credential is still valid do not wait for any of this.
3. Read the store again: if another process was faster, adopt its credential.
4. Before spending a single-use refresh token, write an intent: it proves that the store is writable, and if this
   process dies, the next one can see what happened.
5. Call the provider, under the retry policy. A timeout releases the callers that wait, never the lock.
6. Save the result as the next generation before any caller gets it.
7. Publish it to memory, write hints, notify other processes, release the lock; events go out last.

A failed renewal never erases anything.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from attrs import Factory, define, evolve, field

from freshkey import _failpoints
from freshkey._interprocess.exit_hold import ExitHold
from freshkey._renewal.attempts import Attempts
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.failure import Failure, describe_end, in_words
from freshkey._renewal.persist import Memory, keep_borrowed, keep_owned, keep_refused
from freshkey._renewal.reading import (
    Reading,
    login_required,
    nothing_found,
    outdated,
    read,
    signed_out_since,
    with_next_step,
)
from freshkey._renewal.single_flight import one_process, process_is_exiting
from freshkey._renewal.single_use import SingleUseRefresh
from freshkey._renewal.subject import subject_of
from freshkey._sources import precedence
from freshkey.errors import FreshkeyError, LoginRequired, ProviderRefused, StoreUnavailable
from freshkey.events import SignedOut
from freshkey.expiry import Freshness
from freshkey.model.credential import Credential
from freshkey.model.interaction import Interaction, NonInteractive
from freshkey.model.reason import Reason
from freshkey.model.source import Source
from freshkey.model.storage import Snapshot


log = logging.getLogger(__name__)


@define
class Rotation:
    """One attempt to get a usable credential into memory.

    Attributes:
        context: Everything about the profile.
        memory: Where the result goes.
        held: The credential in memory when the renewal was started, or None.
        generation: The generation of `held`.
        refused: The credential that a server rejected, or None.
        refused_before: What a server rejected before, for a caller that does not wait any more: the provider is told
            so all the same.
        asked: A caller wants one that lasts longer.
        by_user: The user asked to renew now: no existing credential is good enough, and pauses are ignored.
        by_timer: The timer renews ahead of time, and no caller waits.
        may_ask: If the user must act, the application's `Interaction` may ask them.
        earlier: The failure that still holds back this process, unless what it is about has changed.
        failures: Failed attempts in a row in this process.
        failure: After a failure, until when it holds back the next attempt; None leaves it to the caller.
    """

    context: ProfileContext
    memory: Memory
    held: Credential | None = None
    generation: int = 0
    refused: Credential | None = None
    refused_before: Credential | None = None
    asked: bool = False
    by_user: bool = False
    by_timer: bool = False
    may_ask: bool = True
    earlier: Failure | None = None
    failures: int = 0
    failure: Failure | None = None
    _reading: Reading = field(init=False, factory=Reading)
    _until_allowed: float = field(init=False, default=math.inf)
    _asked_at: float = field(init=False, default=-math.inf)
    _hold: ExitHold = field(
        init=False, default=Factory(lambda self: ExitHold(self.context.profile.label), takes_self=True)
    )

    @property
    def _attempts(self) -> Attempts:
        return Attempts(self.context, self.memory.refusals)

    def run(self) -> Credential:
        """Return a usable credential, published to memory.

        Raises:
            FreshkeyError: There is none; see each class for what the caller does next.
        """
        self._asked_at = self.context.clock.elapsed()
        if self.earlier is not None:
            self._repeat(self.earlier)
        # Cold start: reading needs no lock, and most processes find a fresh credential when they start. A due one is
        # returned, too; its renewal is another one. See docs/decisions.md, "A renewal that is due has its own future".
        there = self.adopt_stored() if self.held is None else None
        while there is None:
            _failpoints.hit("before_lock")
            with self._one_process() as in_store:
                _failpoints.hit("lock_held")
                # Another process may have renewed while we waited for the lock: its result is adopted, because sending
                # the refresh token that it has just replaced would end the sign-in (ROT-1).
                there = self.adopt_stored()
                # If someone has signed in since the lock was chosen, the store's lock is the right one.
                if there is None and (in_store or not self._needs_store()):
                    there = self._newer()
        return there

    def _newer(self) -> Credential:
        """Under the lock: get a newer credential and keep it."""
        self._respect_pauses()
        with self._hold:
            try:
                return self._keep(self._obtain())
            except FreshkeyError as error:
                self._hold.close()  # the intent tells how it ended, and what follows asks the provider's hooks
                self.failure = self._noted(error)
                raise

    def adopt_stored(self) -> Credential | None:
        """Adopt what another process saved: publish and return the stored credential if it is usable, else return None.

        Not adopted: one that can be renewed while the user asks for that, one no newer than memory, and the refused
        one. Of what cannot be renewed, such as a stored key, there is nothing newer that the user could ask for.
        """
        self._read()
        self._notice_sign_out()
        there, generation = self._reading.stored, self._reading.snapshot.generation
        if there is None or not self._reading.owned:
            return None
        known = self.held is not None and generation <= self.generation
        if self.context.renews(there, asked=True) if self.by_user else known:
            return None
        if self.refused is not None and there.authorizes_like(self.refused):
            return None
        if self.context.freshness(there) is Freshness.EXPIRED:
            return None
        return self.memory.publish(there, generation, elsewhere=True)

    def _read(self) -> None:
        self._reading = Reading()  # in case reading fails
        self._reading = read(self.context)

    def _notice_sign_out(self) -> None:
        """Serve a sign-in no longer that another process has ended, even if another source is used from now on."""
        source = self.context.description.source(self.held.source) if self.held is not None else None
        if source is None or not source.owned or not signed_out_since(self.context, self._reading, self.generation):
            return
        self.held = None
        self.memory.drop(
            SignedOut(profile=self.context.profile.name, revoked=None, detail="another process signed out")
        )
        if self._reading.winner is None:
            raise login_required(self.context, "another process signed out", code="not-signed-in")

    @contextmanager
    def _one_process(self) -> Iterator[bool]:
        """Lock out other renewals, with the store's lock only if the credential is stored; yield whether it is that."""
        in_store = self._needs_store()
        with ExitStack() as lock:
            try:
                lock.enter_context(one_process(self.context.profile, self.context.store if in_store else None))
            except StoreUnavailable:
                self._read()
                if self._needs_store():
                    raise
                in_store = False
                lock.enter_context(one_process(self.context.profile, None))
            yield in_store

    def _needs_store(self) -> bool:
        description = self.context.description
        source = self._reading.winner or (description.source(self.held.source) if self.held else None)
        if self.context.profile.bare:
            return False
        if source is None:
            return self._user_to_ask() is not None and self._reading.no_store is None
        return source.owned

    def _repeat(self, earlier: Failure) -> None:
        """Raise the failure that holds back this process again, unless looking finds something new to try."""
        try:
            self._read()
        except FreshkeyError as error:
            same = (type(error), error.code) == (type(earlier.error), earlier.error.code)
            self.failure = earlier if same else None
            raise
        if subject_of(self.context, self._reading) == earlier.subject:
            self.failure = earlier
            raise earlier.again(self.context.clock.elapsed())

    def _respect_pauses(self) -> None:
        """Respect the pauses that all processes share, unless the user asked to renew now."""
        if not self.by_user:
            self.failure = self._attempts.reason_to_wait(self._reading, self.refused, self._asked_at)
        if self.failure is not None:
            raise self.failure.again(self.context.clock.elapsed())

    def _noted(self, error: FreshkeyError) -> Failure | None:
        """Record the failure; return until when it holds back this process."""
        if isinstance(error, LoginRequired) and error.retry_after is not None:
            return self._attempts.note_doubt(error, self._reading, error.retry_after)
        return self._attempts.note_failure(
            error, self._reading, self.failures, at_most=self._until_allowed, awaited=not self.by_timer
        )

    # --- calling the provider ---------------------------------------------------------------------------------

    def _obtain(self) -> Credential:
        """Get a newer credential from the winning source, or the first one if there is none yet."""
        try:
            return self._renew_winner()
        except LoginRequired as error:
            winner = self._reading.winner
            with_next_step(error, self.context, winner, self._reading.detected)
            if error.retry_after is None and not (winner is not None and winner.automatic):
                self._attempts.note_refusal(error, self._reading)
            source = precedence.first_owned(self.context.profile, self.context.description)
            user = self._user_to_ask()
            # Without a store, the user would sign in for nothing.
            if user is None or source is None or self._reading.no_store is not None:
                raise
            signed_in = self.context.hooks.acquire(self.context.profile, source, user)
            self._hold.saving()
            return signed_in

    def _user_to_ask(self) -> Interaction | None:
        """Return the user, whom the application lets us ask for a sign-in, but only once for this loss."""
        if self._reading.winner is not None and not self._reading.owned:
            return None  # what comes before the sign-in would hide it
        source = precedence.first_owned(self.context.profile, self.context.description)
        return self.context.interaction if self.may_ask and source is not None and source.interactive else None

    def _renew_winner(self) -> Credential:
        source = self._reading.winner
        if source is None:
            if self._reading.snapshot.damaged:
                message = "the stored credential is corrupt"
                raise login_required(self.context, message, code="stored-credential-corrupt")
            raise nothing_found(self.context, self._reading)
        if source.owned and self._reading.no_store is not None:
            raise self._reading.no_store
        current = self._reading.stored if source.owned else self.held
        if current is not None and not (current.source == source.id and self._can_refresh(current, source)):
            current = None
        if source.automatic:
            return self._renew_or_acquire(source, current)
        if source.owned:
            self._attempts.heed_refusal(self._reading)
        if current is not None:
            return self._renew_stored(current) if source.owned else self._refresh(current)
        if source.owned:
            raise login_required(self.context, self._why_not_usable(source), code="sign-in-ended")
        return self._acquire(source)

    def _can_refresh(self, current: Credential, source: Source) -> bool:
        if source.needs_sign_in:
            return self.context.renews(current, asked=self.by_user or self._was_refused(current))
        # Where another one can be had without the user, one that cannot be made to last longer is not extended.
        return current.renewable and not current.ends_for_good

    def _renew_or_acquire(self, source: Source, current: Credential | None) -> Credential:
        """Renew what an automatic source has got, or else get another one there; both without the user.

        `current` is None if there is nothing to renew.
        """
        if current is not None:
            try:
                self._attempts.heed_refusal(self._reading)
                newer = self._renew_stored(current)
            except LoginRequired as error:
                # Its end is no one's loss: the machine can get another one. What was refused is not sent again.
                self._attempts.note_refusal(error, self._reading)
                self._hold.close()
            else:
                # A lease that a server refused may just have been extended.
                if not self._was_refused(newer):
                    return newer
                self._keep_refused(newer)
        return self._acquire(source)

    def _keep_refused(self, newer: Credential) -> None:
        """Save a renewed credential that cannot be used, but has the only refresh token that still works."""
        if self.context.description.single_use:
            self._hold.saving()
        saved = keep_refused(self.context, newer, self._reading.next_generation)
        self._hold.close()
        if saved is not None:
            self._reading = evolve(self._reading, stored=newer, snapshot=Snapshot(record=saved))

    def _renew_stored(self, current: Credential) -> Credential:
        single_use = self.context.description.single_use
        if single_use and self._reading.put_back:
            raise outdated(self.context, self._reading)  # sent again, it would end the grant
        return self._spend(current) if single_use and current.renewal_secret is not None else self._refresh(current)

    def _why_not_usable(self, source: Source) -> str:
        """Return what is wrong with a stored credential that cannot be renewed."""
        there = self._reading.stored
        if there is None or self.context.freshness(there) is Freshness.EXPIRED:
            return describe_end(source)
        if self.refused is not None and there.authorizes_like(self.refused):
            return f"the provider rejected {in_words(source)}, which cannot be renewed"
        return f"{in_words(source)} cannot be renewed"

    def _spend(self, current: Credential) -> Credential:
        try:
            return self._spend_once(current)
        except LoginRequired:
            # Our lock keeps out every process of this machine, but not another host that shares the store: if it
            # renewed first, its refresh token is the one that works now, and ours was refused as already used.
            before = self._reading.snapshot.generation
            self._read()
            there = self._reading.stored
            if there is None or self._reading.snapshot.generation == before:
                raise
            return there if self.context.freshness(there) is Freshness.FRESH else self._spend_once(there)

    def _spend_once(self, current: Credential) -> Credential:
        memory, snapshot = self.memory, self._reading.snapshot
        reason = self._reason(current)
        spending = SingleUseRefresh(self.context, current, snapshot, forced=self.by_user, reason=reason)
        spending = evolve(spending, closing=memory.closing, on_retry=memory.note_retry, hold=self._hold)
        try:
            return spending.renew()
        except FreshkeyError:
            wait = spending.seconds_to_wait()
            self._until_allowed = wait if wait > 0 else math.inf
            raise

    def _reason(self, current: Credential) -> Reason:
        if self._was_refused(current):
            return Reason.REFUSED
        return Reason.ASKED if self.by_user or self.asked else Reason.DUE

    def _was_refused(self, credential: Credential) -> bool:
        return any(
            each is not None and credential.authorizes_like(each) for each in (self.refused, self.refused_before)
        )

    def _refresh(self, current: Credential) -> Credential:
        context = self.context
        return self._with_retry(
            lambda: context.hooks.refresh(context.profile, current, context.reporter, self._reason(current)),
            current.source,
        )

    def _acquire(self, source: Source) -> Credential:
        profile, reporter = self.context.profile, self.context.reporter
        unattended = NonInteractive(profile.name, reporter, attended=not self.by_timer, account=profile.account)
        found = self._with_retry(
            lambda: self.context.hooks.acquire(self.context.profile, source, unattended), source.id
        )
        if self.refused is not None and found.authorizes_like(self.refused):
            raise ProviderRefused(
                f"the provider rejected the credential from source {source.id!r}, and there is no newer one",
                hint="Replace the credential at its source",
                code="credential-refused",
            )
        return found

    def _with_retry(self, call: Callable[[], Credential], source: str) -> Credential:
        return self.context.with_retry(
            call,
            stop=process_is_exiting,
            forced=self.by_user,
            closing=self.memory.closing,
            on_retry=self.memory.note_retry,
            unreported=self.context.hosts_of(source),
        )

    # --- saving the result ------------------------------------------------------------------------------------

    def _keep(self, newer: Credential) -> Credential:
        """Publish a credential; save an owned one first, and notify other processes."""
        source = self.context.description.source(newer.source)
        if source is None or not source.owned:
            return keep_borrowed(self.context, self.memory, newer, subject_of(self.context, self._reading))
        generation = self._reading.next_generation
        if self._reading.displaced is not None:
            message = "%s: source %r is now used; the stored credential from source %r is replaced, but not revoked"
            log.warning(message, self.context.profile.label, newer.source, self._reading.displaced.source)
        if self.context.description.single_use:
            self._hold.saving()
        return keep_owned(self.context, self.memory, newer, generation, held_generation=self.generation)
