"""One profile in one keeper: who renews its credential and when, and what callers get meanwhile."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
from typing import Final

from attrs import define, evolve, field

from freshkey import expiry
from freshkey._renewal.change_events import after_failing
from freshkey._renewal.deadlines import CacheEntry
from freshkey._renewal.failure import KEYCHAIN_LOCKED, Failure, is_mended_here, without_request
from freshkey._renewal.retry import attempt_floor
from freshkey._renewal.rotation import Rotation
from freshkey._renewal.served import ServedCredential
from freshkey._renewal.single_flight import SharedFuture, process_is_exiting, run_in_thread
from freshkey._renewal.waiters import Waiters
from freshkey._sources import precedence
from freshkey._stores.keychain import prompts
from freshkey._stores.keychain.prompts import Asker
from freshkey._text.tracebacks import with_note_of
from freshkey.errors import (
    FreshkeyError,
    LoginRequired,
    StoreError,
    TransientError,
    describe_raise,
    our_own,
)
from freshkey.model.credential import Credential


log = logging.getLogger(__name__)

DOUBT_TIMEOUT: Final = 5.0
"""Seconds that callers wait for a renewal before they get a credential that has expired by the wall clock alone."""

THREAD_PAUSE: Final = 1.0
"""Seconds until a renewal is tried again after no thread could be started for it."""


@define(eq=False, slots=False)
class ManagedCredential(ServedCredential):
    """One profile of one keeper, and its renewal policy.

    =========================  ==========================  ===========================  ================================
    credential in memory       `get` returns               who renews                   if the renewal fails
    =========================  ==========================  ===========================  ================================
    fresh                      it, from memory             no one                       --
    due (lead and jitter       it, from memory, even in    the timer or the first       it is still returned until it
    before it or its sign-in   its last minute             caller, in the background    expires; `RenewalFailed`; next
    ends, or after recheck)                                (recheck: a caller only)     attempt after a pause
    fresh or due, but less     a renewed one, after        this call; a credential      the error is raised; other
    than ``min_ttl`` left      waiting for it              obtained just now is enough, callers still get it; so it
                                                           another tool's must be new   is if there is no new one
    expired by the wall clock  a renewed one, after        this call; later callers     it is still returned until it
    alone, in the same boot    waiting for it up to        wait for the same renewal    expires by elapsed time, as if
                               `DOUBT_TIMEOUT`                                          it were due
    none, or expired           the stored one if another   this call; later callers     the error is raised, and again
                               process saved one that is   wait for the same renewal    without a request until the
                               not expired; else a                                      pause is over
                               renewed one, after waiting
    rejected by a server,      a newer one from memory or  this call, but not within    the error is raised; callers
    time left (``refused``)    store; else a renewed one,  the attempt floor after the  that do not pass ``refused``
                               after waiting               last success                 still get the old one; the next
                                                                                        renewal is told, too
    of an automatic source,    it, until it expires; then  the timer or `get`, with     it is still returned until it
    cannot be renewed          another one from there      the ``acquire`` hook         expires; next after a pause
    of a sign-in, ends at      it, until it expires; then  no one, unless a server      the next one is tried as usual
    ``ends_at_latest``         `LoginRequired`             refuses it, or the user
                                                           asks; `SignInEnding` before
    refresh token refused for  it, until it expires; then  no one: the token is never   `SignInNeeded` once; each `get`
    good                       `LoginRequired`             sent again (ROT-5)           after expiry reads the store, so
                                                                                        a new sign-in is found at once
    the same, but that is      it, until it expires; then  the timer or `get`, at       `SignInNeeded` once; each `get`
    only probable              `LoginRequired`             growing distances            after expiry reads the store, or
                                                           (`retry_after`)              in a pause of its own the hints
    the user must sign in,     it, until it expires; then  the timer or `get`, after a  `SignInNeeded` once; a new
    found before the token     `LoginRequired`             pause                        sign-in that the hints show ends
    was sent (``unsent``)                                                               the pause
    any; store cannot be       it, until it expires; then  no one: a single-use token   next attempt after `STORE_PAUSE`
    read or written            `StoreError`                is not sent (ROT-3)          if reading failed, else a pause
    any; keychain is locked    it, until it expires; then  this call, once the user     the timer tries again at growing
                               the keychain prompts        answered; the timer never    distances; callers do not wait
                                                           makes it prompt              for that
    renewed, but cannot be     the new one, once saved or  --                           saving is retried for as long as
    saved                      after `SAVE_TIMEOUT`                                     the process lives; `Unsaved`
    any; no thread can be      it, until it expires; then  the next caller after        `TransientError`
    started                    `TransientError`            `THREAD_PAUSE`
    =========================  ==========================  ===========================  ================================

    Only one process renews at a time: the others wait for the lock and adopt what it saved. All processes of a state
    directory share the pauses after failed requests (`freshkey._renewal.retry.pause_after_failure`), but not those
    after store and configuration errors, and not those for which a process's own surroundings are the cause. A pause
    ends early when the settings or another tool's source change: `freshkey._renewal.subject`. `Keeper.refresh`
    (``by_user``) always renews, and ignores pauses. While a renewal retries, `freshkey._renewal.waiters` decides when
    its callers are told. A sign-out by another process removes the credential from memory as soon as it is noticed.

    Attributes:
        refusals: Why the user must act, by generation.
        closing: Set once the keeper is closed: nothing more is tried after a failure.
    """

    refusals: dict[int, LoginRequired] = field(init=False, factory=dict)
    closing: threading.Event = field(init=False, factory=threading.Event)
    _looked_at: float = field(init=False, default=-math.inf)  # elapsed seconds
    _in_doubt: tuple[SharedFuture[Credential] | None, float] = field(init=False, default=(None, 0.0))

    def forget_threads(self) -> None:
        """Start with fresh locks and no renewal: in a forked child, the parent's threads do not exist."""
        super().forget_threads()
        self.closing = threading.Event()
        self._waiters = Waiters(self.context.clock)
        self._asker = Asker()
        self._looking = False
        self._seen = 0  # the generation that the hints named then
        self._changed = False

    @property
    def _future(self) -> SharedFuture[Credential] | None:
        return self._waiters.future

    # --- callers ------------------------------------------------------------------------------------------------

    def get(
        self,
        *,
        min_ttl: float = 0.0,
        refused: Credential | None = None,
        by_user: bool = False,
        background: bool = False,
    ) -> Credential | SharedFuture[Credential]:
        """Return a credential at once, or a future to wait for.

        Args:
            min_ttl: Minimum remaining lifetime in seconds.
            refused: A credential that a server rejected; only a different one is returned.
            by_user: The user asked to renew now: skip the credential in memory, and ignore pauses after failures.
            background: No one waits for the future.

        Raises:
            FreshkeyError: The last attempt failed, and the pause before the next one is not over yet.
        """
        with self._mutex:
            held = self.held
            unwanted = refused is not None and held is not None and held.credential.authorizes_like(refused)
            if unwanted:
                self._refused = refused
            if held is None or by_user or unwanted:
                return self._renew(refused=refused, by_user=by_user, background=background)
            now = self.context.clock.elapsed()
            until = now + self._within_reason(min_ttl, held)
            asked = now < min(held.refresh_at, held.expires_at)
            if until >= held.withheld_at or (background and until >= held.expires_at):
                return self._renew(background=background, asked=asked)
            if until >= held.expires_at:
                return self._renew_in_doubt(until, asked=asked)
            if now >= held.refresh_at and self.context.renews(held.credential):
                self._renew_in_background()
            return held.credential

    def look_again(self) -> Credential | SharedFuture[Credential]:
        """Get a newer credential if its source has one, although the one in memory need not be renewed yet."""
        with self._mutex:
            now, lifetime = self.context.clock.elapsed(), self.held.credential.lifetime if self.held else None
            if self.held is not None and now < self._looked_at + attempt_floor(lifetime):
                return self.held.credential
            self._looked_at = now
            return self._renew()

    def _within_reason(self, min_ttl: float, held: CacheEntry) -> float:
        """Limit a caller's `min_ttl` so that a credential that was just obtained always satisfies it."""
        lifetime = held.credential.lifetime
        if not min_ttl or lifetime is None:
            return min_ttl
        if held.credential.renewable and not self.context.renews(held.credential):
            return 0.0  # it ends at its latest end, and none lasts longer
        # Otherwise a `min_ttl` near the lifetime would renew on every call, and one that no credential can satisfy more
        # often than the timer does. See docs/decisions.md, "How much lifetime `min_ttl` can ask for".
        young = attempt_floor(lifetime)
        if min_ttl > lifetime:
            young = max(young, expiry.effective_lead(lifetime, held.credential.lead) + held.jitter)
        return min(min_ttl, max(0.0, lifetime - young))

    def _renew(
        self,
        *,
        refused: Credential | None = None,
        by_user: bool = False,
        by_timer: bool = False,
        background: bool = False,
        asked: bool = False,
    ) -> SharedFuture[Credential]:
        """Join the running renewal, or start one; `background` if the caller does not wait for it."""
        if (joined := self._waiters.join()) is not None:
            if not background:
                self._asker.join(by_user=by_user)
            return joined
        failure = self._failure
        earlier = self._current_failure(by_user=by_user, background=background)
        may_ask = failure is None or not isinstance(failure.error, LoginRequired)
        rotation = evolve(self._rotation(), refused=refused, by_user=by_user, by_timer=by_timer, may_ask=may_ask)
        rotation = evolve(rotation, asked=asked, earlier=earlier, failures=failure.count if failure is not None else 0)
        typed = by_user or (self.context.at_terminal and not background)
        self._asker = asker = prompts.a_user() if typed else Asker(background=background)
        name = f"renewal {self.context.profile.name}"
        return self._waiters.begin(run_in_thread(name, lambda future: self._work(future, rotation, asker)))

    def _renew_in_doubt(self, until: float, *, asked: bool) -> Credential | SharedFuture[Credential]:
        """Prefer a renewed credential to the one in memory, which has expired by the wall clock alone."""
        try:
            running = self._renew(asked=asked)
        except FreshkeyError:
            if (usable := self._usable(until)) is None:
                raise
            return usable
        # Those who come later do not wait longer: one renewal that hangs delays an application once, even if callers
        # were told meanwhile that an attempt failed.
        if self._waiters.started is not self._in_doubt[0]:
            self._in_doubt = self._waiters.started, self.context.clock.elapsed() + DOUBT_TIMEOUT
        patience = self._in_doubt[1] - self.context.clock.elapsed()
        usable = self._usable(until) if patience <= 0 else None
        return usable or running.or_else(lambda: self._usable(until), patience)

    def _usable(self, until: float) -> Credential | None:
        """Return the credential in memory if it may be returned now, and still `until` then."""
        with self._mutex:
            held = self.held
            usable = held is not None and max(until, self.context.clock.elapsed()) < held.withheld_at
            return held.credential if held is not None and usable else None

    def _rotation(self) -> Rotation:
        if self.held is None:
            return Rotation(self.context, self)
        before = self._refused
        return Rotation(
            self.context, self, held=self.held.credential, generation=self.held.generation, refused_before=before
        )

    def _renew_in_background(self, *, by_timer: bool = False) -> None:
        try:
            self._renew(by_timer=by_timer, background=True)
        except FreshkeyError:
            # This caller still has a valid credential; a later one tries again.
            if self.held is not None:
                refresh_at = min(self.held.withheld_at, self.context.clock.elapsed() + THREAD_PAUSE)
                self._hold(evolve(self.held, refresh_at=refresh_at))

    def _current_failure(self, *, by_user: bool, background: bool) -> Failure | None:
        """Return the failure whose pause ends early if what it is about has changed; None if there is no pause.

        Raises:
            FreshkeyError: The pause is not over, and there is nothing to look at that costs no request.
        """
        failure, now = self._failure, self.context.clock.elapsed()
        if failure is None or by_user or not failure.holds_back(now, background=background):
            return None
        if failure.subject is not None:
            return failure
        # The user may have signed in in another process: the store has the credential, and reading it is no request.
        if self.context.hints.read().generation <= failure.generation:
            raise failure.again(now)
        return None

    def close(self) -> None:
        """Try nothing more after a failure."""
        self.closing.set()

    def finish(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for the running renewal."""
        while True:
            with self._mutex:
                future = self._future
            if future is None or future.done:
                return
            with contextlib.suppress(FreshkeyError):
                future.wait(timeout)
            if not future.done:
                return

    # --- the renewal thread -------------------------------------------------------------------------------------

    def _work(self, future: SharedFuture[Credential], rotation: Rotation, asker: Asker) -> None:
        try:
            with prompts.asking(asker):
                credential = self._run(rotation, asker)
            self._settle(future, credential)
        except BaseException as error:  # noqa: BLE001  callers that wait must get an error, whatever it was
            failure = error if isinstance(error, FreshkeyError) else with_note_of(error, our_own(error))
            try:
                self._failed(failure, rotation, background=asker.background)
            finally:
                self._settle(future, failure)
        finally:
            self._finish()

    def _settle(self, started: SharedFuture[Credential], outcome: Credential | FreshkeyError) -> None:
        """Give callers what came of the renewal that began with `started`."""
        # In one step: if callers were told of a retry in between, later ones would join what no one settles.
        with self._mutex:
            awaited = self._waiters.end(started)
            if isinstance(outcome, FreshkeyError):
                awaited.set_error(outcome)
                return
            # The timer would start the renewal of one that is due already, too, but a program that needs the credential
            # once may end before the timer wakes up.
            if (
                self.held is not None
                and self.held.refresh_at <= self.context.clock.elapsed()
                and not self.closing.is_set()
            ):
                self._renew_if_due()
            awaited.set_result(outcome)

    def _run(self, rotation: Rotation, asker: Asker) -> Credential:
        background = asker.background
        try:
            return rotation.run()
        except StoreError as error:
            if not background or error.code != KEYCHAIN_LOCKED or not self._joined(asker):
                raise
        # A caller without a usable credential joined meanwhile, and for that one the keychain may prompt.
        return rotation.run()

    def _joined(self, asker: Asker) -> bool:
        with self._mutex:
            if asker.background:
                self._waiters.future = None  # from now on no one can
            return not (asker.background or process_is_exiting())

    def _failed(self, error: FreshkeyError, rotation: Rotation, *, background: bool) -> None:
        name = self.context.profile.name
        error.profile = error.profile or name
        with self._mutex:
            before, now = self._failure, self.context.clock.elapsed()
            failure = rotation.failure or without_request(error, before, now, background=background)
            if failure is before:
                return  # the pause is not over, and all is as it was
            error = failure.error
            error.profile = error.profile or name
            self._failure = failure = evolve(failure, background=background and is_mended_here(error))
            if before is None or isinstance(before.error, LoginRequired) != isinstance(error, LoginRequired):
                # Logged when the state changes; subscribers receive an event for every attempt.
                log.info("renewal failed [%s]: %s", error.code, error)
            if (event := after_failing(name, before, failure, now)) is not None:
                self._events.append(event)
            self._update_deadlines()

    def note_retry(self, error: FreshkeyError, pause: float) -> None:
        """An attempt failed with `error`, and the next one follows after `pause` seconds."""
        with self._mutex:
            self._waiters.note_retry(error, pause)
        self._wake()

    def serve_early(self, credential: Credential) -> None:
        """Give `credential` to callers that wait for this rotation, although the rotation continues."""
        with self._mutex:
            if self._future is not None:
                self._future.set_result(credential)

    # --- time ---------------------------------------------------------------------------------------------------

    def tick(self) -> float:
        """Check the clocks, start a renewal if it is due, and return the seconds until the next check."""
        self.warn_of_end()
        with self._mutex:
            return min(self._waiters.tell_late(), self._renew_if_due())

    def _renew_if_due(self) -> float:
        if self.held is None or self.closing.is_set():  # the timer may be between two profiles while a keeper closes
            return math.inf
        self._update_deadlines()
        refresh_at = max(self.held.refresh_at, self._failure.retry_at if self._failure is not None else 0.0)
        wait = refresh_at - self.context.clock.elapsed()
        if wait > 0:
            return wait
        # An idle program must not start a password manager every few minutes.
        # See docs/decisions.md, "A credential of unknown lifetime can be read again".
        if self.held.credential.lifetime is None and self.held.credential.renewable_for is None:
            return math.inf  # without expiry, its source is checked again only when a caller asks for it
        if self.context.renews(self.held.credential) and self._future is None:
            self._renew_in_background(by_timer=True)
        return math.inf  # the renewal wakes the timer when it ends

    # --- other processes ----------------------------------------------------------------------------------------

    @property
    def wants_changes(self) -> bool:
        """Whether what another process saves may end or replace this process's credential, so that changes matter."""
        held = self.held  # read without the lock
        if held is None:
            return False
        if held.generation > 0:
            return self.context.description.single_use
        return precedence.yields_to_sign_in(self.context.profile, self.context.description, held.credential.source)

    def on_change(self) -> None:
        """Some profile in the state directory changed: if it was this one, read what another process saved."""
        hints = self.context.hints.read()
        with self._mutex:
            if self._future is not None or self._looking:
                self._changed = True
                return
            # What another tool keeps has no generation: each that the hints name is looked at once.
            known = (self.held.generation if self.held else 0) or self._seen
            if (self.held is None and self._failure is None) or hints.generation == known:
                return
            rotation = self._rotation()
            self._looking, self._seen = True, hints.generation
        try:
            run_in_thread(f"look {self.context.profile.name}", lambda future: self._look(future, rotation))
        except TransientError:
            self._looking, self._seen = False, 0

    def _look(self, future: SharedFuture[None], rotation: Rotation) -> None:
        """Adopt what another process saved; if it cannot be read, the next renewal reports that."""
        try:
            with prompts.background():
                rotation.adopt_stored()
        except Exception as error:  # noqa: BLE001  no caller waits for this
            self._seen = 0
            log.debug(
                "%s: cannot read what another process saved: %s", self.context.profile.label, describe_raise(error)
            )
        finally:
            with self._mutex:
                self._looking = False
            self._finish()
            future.set_result(None)

    def _finish(self) -> None:
        """Finish `_work` or `_look`: send events, wake the timer, and handle a change that happened meanwhile."""
        with self._mutex:
            changed, self._changed = self._changed, False
        self.announce()
        if changed:
            self.on_change()
