"""The state of one profile in one keeper: the credential in memory, the running renewal, and when to check again."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
from collections.abc import Callable
from typing import Final

from attrs import define, evolve, field, frozen

from freshkey import expiry
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.retry import attempt_floor
from freshkey._renewal.rotation import Rotation
from freshkey._renewal.single_flight import SharedFuture, run_in_thread
from freshkey.errors import FreshkeyError, LoginRequired, TransientError, describe_raise, our_own
from freshkey.events import (
    AccountChanged,
    Event,
    Obtained,
    RenewalFailed,
    Renewed,
    SignedOut,
    SignInNeeded,
    SourceChanged,
)
from freshkey.model.credential import Credential


log = logging.getLogger(__name__)

STORE_PAUSE: Final = 1.0
"""Seconds until a store that could not be read is tried again; short, because no request was sent to the provider."""

THREAD_PAUSE: Final = 1.0
"""Seconds until a renewal is tried again after no thread could be started for it."""


@frozen
class CacheEntry:
    """A credential in memory, with its deadlines on the clock that `Keeper.get` compares.

    Attributes:
        credential: The credential.
        generation: Its generation in the store; 0 for one that is not stored.
        jitter: Random seconds by which this process renews earlier than others.
        refresh_at: Elapsed seconds; from then on `Keeper.get` leaves its fast path.
        expires_at: Elapsed seconds; from then on it is not returned.
    """

    credential: Credential
    generation: int
    jitter: float
    refresh_at: float
    expires_at: float


@frozen
class _Failure:
    error: FreshkeyError
    retry_at: float  # elapsed seconds


@define(eq=False, slots=False)
class ManagedCredential:
    """One profile of one keeper, and its renewal policy.

    =========================  ==========================  ===========================  ================================
    credential in memory       `get` returns               who renews                   if the renewal fails
    =========================  ==========================  ===========================  ================================
    fresh                      it, from memory             no one                       --
    due (lead and jitter       it, from memory, even in    the timer or the first       it is still returned until it
    before expiry, or          its last minute             caller, in the background    expires; `RenewalFailed`; next
    ``recheck_after`` passed)                              (recheck: a caller only)     attempt after a pause
    fresh or due, but less     a renewed one, after        this call; a credential      the error is raised; other
    than ``min_ttl`` left      waiting for it              obtained just now is enough  callers still get it
    none, or expired           the stored one if another   this call; later callers     the error is raised, and again
                               process saved one that is   wait for the same renewal    without a request until the
                               not expired; else a                                      pause is over
                               renewed one, after waiting
    rejected with 401, time    a newer one from memory or  this call, but not within    the error is raised; callers
    left (``refused``)         store; else a renewed one,  the attempt floor after the  that do not pass ``refused``
                               after waiting               last success                 still get the old one
    refresh token refused for  it, until it expires; then  no one: the token is never   `SignInNeeded` once; each `get`
    good                       `LoginRequired`             sent again (ROT-5)           after expiry reads the store, so
                                                                                        a new sign-in is found at once
    any; store cannot be       it, until it expires; then  no one: a single-use token   next attempt after `STORE_PAUSE`
    read or written            `StoreError`                is not sent (ROT-3)          if reading failed, else a pause
    renewed, but cannot be     the new one, once saved or  --                           saving is retried for as long as
    saved                      after `SAVE_TIMEOUT`                                     the process lives; `Unsaved`
    any; no thread can be      it, until it expires; then  the next caller after        `TransientError`
    started                    `TransientError`            `THREAD_PAUSE`
    =========================  ==========================  ===========================  ================================

    Only one process renews at a time: the others wait for the lock and adopt what it saved. All processes of a state
    directory share the pauses after failed requests (`freshkey._renewal.retry.pause_after_failure`), but not those
    after store and configuration errors. `Keeper.refresh` (``by_user``) always renews, and ignores pauses. A sign-out
    by another process removes the credential from memory as soon as it is noticed.

    Attributes:
        context: Everything about the profile.
        publish: Puts a cache entry where `Keeper.get` finds it; None removes it.
        emit: Passes an event to subscribers.
        wake: Wakes the scheduler after a deadline changed.
        held: The credential in memory with its deadlines, or None.
        refusals: Why the user must act, by generation.
    """

    context: ProfileContext
    _publish: Callable[[CacheEntry | None], None] = field(kw_only=True)
    _emit: Callable[[Event], None] = field(kw_only=True)
    _wake: Callable[[], None] = field(kw_only=True)
    held: CacheEntry | None = field(init=False, default=None)
    refusals: dict[int, LoginRequired] = field(init=False, factory=dict)
    _failure: _Failure | None = field(init=False, default=None)
    _events: list[Event] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        self.forget_threads()

    def forget_threads(self) -> None:
        """Start with fresh locks and no renewal: in a forked child, the parent's threads do not exist."""
        self._mutex = threading.RLock()
        self._future: SharedFuture[Credential] | None = None
        self._looking = False
        self._changed = False

    # --- callers ------------------------------------------------------------------------------------------------

    def get(
        self, *, min_ttl: float = 0.0, refused: Credential | None = None, by_user: bool = False
    ) -> Credential | SharedFuture[Credential]:
        """Return a credential at once, or a future to wait for.

        Args:
            min_ttl: Minimum remaining lifetime in seconds.
            refused: A credential that a server rejected with 401; only a different one is returned.
            by_user: The user asked to renew now: skip the credential in memory, and ignore pauses after failures.

        Raises:
            FreshkeyError: The last attempt failed, and the pause before the next one is not over yet.
        """
        with self._mutex:
            held = self.held
            unwanted = refused is not None and held is not None and held.credential.authorizes_like(refused)
            if held is None or by_user or unwanted:
                return self._renew(refused=refused, by_user=by_user)
            now = self.context.clock.elapsed()
            if now + self._within_reason(min_ttl, held) >= held.expires_at:
                return self._renew()
            if now >= held.refresh_at and self._renewable(held.credential):
                self._renew_in_background()
            return held.credential

    def _within_reason(self, min_ttl: float, held: CacheEntry) -> float:
        """Limit a caller's `min_ttl` so that a credential that was just obtained always satisfies it."""
        lifetime = held.credential.lifetime
        if not min_ttl or lifetime is None:
            return min_ttl
        # Otherwise a `min_ttl` near the lifetime would renew on every call. A credential always satisfies it while it
        # is younger than the lead (plus jitter) or the attempt floor, whichever is longer.
        # See docs/decisions.md, "`min_ttl` is capped at what a credential has left when it is renewed".
        lead = expiry.effective_lead(lifetime, held.credential.lead)
        young = max(lead + held.jitter, attempt_floor(lifetime))
        return min(min_ttl, max(0.0, lifetime - young))

    def _renew(
        self, *, refused: Credential | None = None, by_user: bool = False, by_timer: bool = False
    ) -> SharedFuture[Credential]:
        """Join the running renewal, or start one."""
        if self._future is not None and not self._future.done:
            return self._future
        self._raise_recent_failure(by_user=by_user)
        may_ask = self._failure is None or not isinstance(self._failure.error, LoginRequired)
        rotation = evolve(self._rotation(), refused=refused, by_user=by_user, by_timer=by_timer, may_ask=may_ask)
        name = f"renewal {self.context.profile.name}"
        # Not a daemon thread: if the program ends now, the process stays alive until the result is saved. A refresh
        # token that was just spent would otherwise be lost (TIM-6).
        self._future = run_in_thread(name, lambda future: self._work(future, rotation))
        return self._future

    def _rotation(self) -> Rotation:
        if self.held is None:
            return Rotation(self.context, self)
        return Rotation(self.context, self, held=self.held.credential, generation=self.held.generation)

    def _renew_in_background(self, *, by_timer: bool = False) -> None:
        try:
            self._renew(by_timer=by_timer)
        except FreshkeyError:
            # This caller still has a valid credential; a later one tries again.
            if self.held is not None:
                refresh_at = min(self.held.expires_at, self.context.clock.elapsed() + THREAD_PAUSE)
                self._hold(evolve(self.held, refresh_at=refresh_at))

    def _raise_recent_failure(self, *, by_user: bool) -> None:
        failure = self._failure
        if failure is None or by_user or math.isinf(failure.retry_at):
            # After `LoginRequired`, checking for a new sign-in takes one read of the store, not a request.
            return
        wait = failure.retry_at - self.context.clock.elapsed()
        if wait > 0:
            error = failure.error.for_another_caller()
            if isinstance(error, TransientError):
                error.retry_after = wait
            raise error

    def finish(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for the running renewal."""
        with self._mutex:
            future = self._future
        if future is not None:
            with contextlib.suppress(FreshkeyError):
                future.wait(timeout)

    # --- the renewal thread -------------------------------------------------------------------------------------

    def _work(self, future: SharedFuture[Credential], rotation: Rotation) -> None:
        try:
            future.set_result(rotation.run())
        except BaseException as error:  # noqa: BLE001  callers that wait must get an error, whatever it was
            failure = error if isinstance(error, FreshkeyError) else our_own(error)
            self._failed(failure, rotation)
            future.set_error(failure)
        finally:
            with self._mutex:
                if self._future is future:
                    self._future = None
            self._finish()

    def _failed(self, error: FreshkeyError, rotation: Rotation) -> None:
        name = self.context.profile.name
        error.profile = error.profile or name
        with self._mutex:
            before = self._failure
            pause = rotation.pause or (math.inf if isinstance(error, LoginRequired) else STORE_PAUSE)
            self._failure = _Failure(error, self.context.clock.elapsed() + pause)
            if before is None or isinstance(before.error, LoginRequired) != isinstance(error, LoginRequired):
                # Logged when the state changes; subscribers receive an event for every attempt.
                log.info("renewal failed [%s]: %s", error.code, error)
            if isinstance(error, LoginRequired):
                said = None if before is None else (before.error.code, before.error.message)
                if said != (error.code, error.message):
                    self._events.append(SignInNeeded(profile=name, reason=str(error), code=error.code))
            else:
                self._events.append(RenewalFailed(profile=name, error=str(error), code=error.code, retry_in=pause))
            self._update_deadlines()

    # --- changes that a rotation makes in memory -------------------------------------------------------------

    def publish(self, credential: Credential, generation: int, *, elsewhere: bool) -> Credential:
        """Serve `credential` from now on; return it as it is served.

        Args:
            credential: The new credential.
            generation: Its generation in the store; 0 if it is not stored.
            elsewhere: Another process saved it, and it was read from the store. If the same or a newer generation is
                already in memory, it stays there and is returned.
        """
        with self._mutex:
            before = self.held
            if elsewhere and before is not None and generation <= before.generation:
                return before.credential
            served = evolve(credential, lead=self.context.lead(credential), clock=self.context.clock)
            # Drawn once per credential: with a new draw at each check, the earliest draw would win, and processes that
            # started together would renew close together again (TIM-3).
            jitter = expiry.jitter(served.lifetime, self.context.random()) if served.lifetime is not None else 0.0
            if self._failure is not None:
                log.info("%s: renewed again after a failure", self.context.profile.name)
            self._failure = None
            self.held = CacheEntry(served, generation, jitter, math.inf, math.inf)
            self._update_deadlines()
            self._note_change(before, served, generation, elsewhere=elsewhere)
        return served

    def _note_change(self, before: CacheEntry | None, served: Credential, generation: int, *, elsewhere: bool) -> None:
        name = self.context.profile.name
        came_from = before.credential.source if before is not None else None
        if came_from not in (None, served.source):
            self._events.append(SourceChanged(profile=name, before=came_from, after=served.source))
        if came_from != served.source:
            self._events.append(Obtained(profile=name, source=served.source, expires_at=served.expires_at))
        else:
            renewed = Renewed(profile=name, generation=generation, expires_at=served.expires_at, elsewhere=elsewhere)
            self._events.append(renewed)
        if before is not None and served.identity.differs_from(before.credential.identity):
            self._events.append(AccountChanged(profile=name, before=before.credential.identity, after=served.identity))

    def drop(self, event: SignedOut) -> None:
        """Serve nothing from now on."""
        with self._mutex:
            self.held = None
            self._failure = None
            self._publish(None)
            self._events.append(event)

    def serve_early(self, credential: Credential) -> None:
        """Give `credential` to callers that wait for this rotation, although the rotation continues."""
        with self._mutex:
            future = self._future
        if future is not None:
            future.set_result(credential)

    def emit(self, event: Event) -> None:
        """Send `event` to subscribers, after the events that are still queued."""
        with self._mutex:
            self._events.append(event)
        self.announce()

    def announce(self) -> None:
        """Send queued events, and wake the timer to read new deadlines; callers already have their result."""
        with self._mutex:
            events, self._events = self._events, []
        self._wake()
        for event in events:
            self._emit(event)

    # --- time ---------------------------------------------------------------------------------------------------

    def tick(self) -> float:
        """Check the clocks, start a renewal if it is due, and return the seconds until the next check."""
        with self._mutex:
            if self.held is None:
                return math.inf
            self._update_deadlines()
            refresh_at = max(self.held.refresh_at, self._failure.retry_at if self._failure is not None else 0.0)
            wait = refresh_at - self.context.clock.elapsed()
            if wait > 0:
                return wait
            # An idle program must not start a password manager every few minutes.
            # See docs/decisions.md, "A credential of unknown lifetime can be read again".
            if self.held.credential.lifetime is None:
                return math.inf  # without expiry, its source is checked again only when a caller asks for it
            if self._renewable(self.held.credential) and self._future is None:
                self._renew_in_background(by_timer=True)
            return math.inf  # the renewal wakes the timer when it ends

    def _update_deadlines(self) -> None:
        """Compute deadlines from both clocks, and publish them to `Keeper.get`, which reads only elapsed time."""
        held = self.held
        if held is None:
            return
        credential, now = held.credential, self.context.clock.now()
        left = expiry.seconds_left(credential.obtained, credential.lifetime, now)
        early = 0.0
        if credential.lifetime is not None:
            early = held.jitter + expiry.effective_lead(credential.lifetime, credential.lead)
            # Whatever lead and jitter are, a new credential is not renewed before the attempt floor has passed (TIM-4).
            early = min(early, max(0.0, credential.lifetime - attempt_floor(credential.lifetime)))
        due = min(
            expiry.seconds_until_due(credential.obtained, credential.lifetime, early, now),
            expiry.seconds_until_recheck(credential.obtained, credential.recheck_after, now),
        )
        refresh_at = now.elapsed + (due if self._renewable(credential) else left)
        # While a failure pauses attempts, callers stay on the fast path until the pause or the credential ends.
        if self._failure is not None:
            refresh_at = max(refresh_at, self._failure.retry_at)
        self._hold(evolve(held, refresh_at=min(refresh_at, now.elapsed + left), expires_at=now.elapsed + left))

    def _hold(self, held: CacheEntry) -> None:
        self.held = held
        self._publish(held)

    def _renewable(self, credential: Credential) -> bool:
        """Whether a rotation could get a newer one without the user."""
        source = self.context.description.source(credential.source)
        return credential.renewable or (source is not None and not (source.owned and source.interactive))

    # --- other processes ----------------------------------------------------------------------------------------

    @property
    def wants_changes(self) -> bool:
        """Whether another process's renewal may invalidate this process's credential, so that changes matter."""
        held = self.held  # read without the lock
        return self.context.description.single_use and held is not None and held.generation > 0

    def on_change(self) -> None:
        """Some profile in the state directory changed: if it was this one, read what another process saved."""
        hints = self.context.hints.read()
        with self._mutex:
            if self._future is not None or self._looking:
                self._changed = True
                return
            known = self.held.generation if self.held else 0
            if (self.held is None and self._failure is None) or hints.generation == known:
                return
            rotation = self._rotation()
            self._looking = True
        try:
            run_in_thread(f"look {self.context.profile.name}", lambda future: self._look(future, rotation))
        except TransientError:
            self._looking = False

    def _look(self, future: SharedFuture[None], rotation: Rotation) -> None:
        """Adopt what another process saved; if it cannot be read, the next renewal reports that."""
        try:
            rotation.adopt_stored()
        except Exception as error:  # noqa: BLE001  no caller waits for this
            log.debug(
                "%s: cannot read what another process saved: %s", self.context.profile.name, describe_raise(error)
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
