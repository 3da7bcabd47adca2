"""What one keeper holds of one profile: the credential in memory, the renewal under way, and when to look again."""

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


log = logging.getLogger("freshkey")

STORE_PAUSE: Final = 1.0
"""Seconds until a store that could not be read is tried again: nothing was asked of the provider."""

THREAD_PAUSE: Final = 1.0
"""Seconds until a renewal is tried again for which no thread could be started."""


@frozen
class CacheEntry:
    """A credential in memory, with its deadlines on the clock that `Keeper.get` compares.

    Attributes:
        generation: Its generation in the store; 0 for one that is not stored.
        jitter: Seconds by which this process renews earlier than others.
        refresh_at: Elapsed seconds from which on a caller makes the control plane look.
        expires_at: Elapsed seconds from which on it is not served.
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
    """One profile of one keeper.

    Attributes:
        publish: Puts what is held where `Keeper.get` finds it; None removes it.
        wake: Tells the scheduler that a deadline changed.
        refusals: Why only a person can go on, by the generation concerned.
    """

    context: ProfileContext
    _publish: Callable[[CacheEntry | None], None] = field(kw_only=True)
    _emit: Callable[[Event], None] = field(kw_only=True)
    _wake: Callable[[], None] = field(kw_only=True)
    held: CacheEntry | None = field(init=False, default=None)
    refusals: dict[int, str] = field(init=False, factory=dict)
    _failure: _Failure | None = field(init=False, default=None)
    _events: list[Event] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        self.forget_threads()

    def forget_threads(self) -> None:
        """Start without locks and renewals; in a forked child those of the parent mean nothing."""
        self._mutex = threading.RLock()
        self._future: SharedFuture[Credential] | None = None
        self._looking = False
        self._changed = False

    # --- callers ------------------------------------------------------------------------------------------------

    def get(
        self, *, min_ttl: float = 0.0, refused: Credential | None = None, by_user: bool = False
    ) -> Credential | SharedFuture[Credential]:
        """Return a credential at once, or what to wait for.

        Args:
            min_ttl: Seconds it must have left at the least.
            refused: A credential that a server answered with 401; only a newer one will do.
            by_user: A person asked to renew now: what is held will not do, and pauses after failures do not count.

        Raises:
            FreshkeyError: The last attempt failed a moment ago, and the next one is not due yet.
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
        """Cap what a caller wants: a credential that was just obtained satisfies any wish."""
        lifetime = held.credential.lifetime
        if not min_ttl or lifetime is None:
            return min_ttl
        lead = expiry.effective_lead(lifetime, held.credential.lead)
        young = max(lead + held.jitter, attempt_floor(lifetime))
        return min(min_ttl, max(0.0, lifetime - young))

    def _renew(
        self, *, refused: Credential | None = None, by_user: bool = False, by_timer: bool = False
    ) -> SharedFuture[Credential]:
        """Join the renewal under way, or start one."""
        if self._future is not None and not self._future.done:
            return self._future
        self._raise_recent_failure(by_user=by_user)
        may_ask = self._failure is None or not isinstance(self._failure.error, LoginRequired)
        rotation = evolve(self._rotation(), refused=refused, by_user=by_user, by_timer=by_timer, may_ask=may_ask)
        name = f"renewal {self.context.profile.name}"
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
            # The caller has a credential; the next one tries again.
            if self.held is not None:
                refresh_at = min(self.held.expires_at, self.context.clock.elapsed() + THREAD_PAUSE)
                self._hold(evolve(self.held, refresh_at=refresh_at))

    def _raise_recent_failure(self, *, by_user: bool) -> None:
        failure = self._failure
        if failure is None or by_user or math.isinf(failure.retry_at):
            # Whether somebody has signed in since costs one look into the store, not a request.
            return
        wait = failure.retry_at - self.context.clock.elapsed()
        if wait > 0:
            error = failure.error.for_another_caller()
            if isinstance(error, TransientError):
                error.retry_after = wait
            raise error

    def finish(self, timeout: float) -> None:
        """Wait for the renewal under way, `timeout` seconds at the most."""
        with self._mutex:
            future = self._future
        if future is not None:
            with contextlib.suppress(FreshkeyError):
                future.wait(timeout)

    # --- the renewal thread -------------------------------------------------------------------------------------

    def _work(self, future: SharedFuture[Credential], rotation: Rotation) -> None:
        try:
            future.set_result(rotation.run())
        except BaseException as error:  # noqa: BLE001  whoever waits must be told, whatever it was
            failure = error if isinstance(error, FreshkeyError) else our_own(error)
            self._failed(failure, rotation)
            future.set_error(failure)
        finally:
            with self._mutex:
                if self._future is future:
                    self._future = None
            self._finish()

    def _failed(self, error: FreshkeyError, rotation: Rotation) -> None:
        error.profile = error.profile or self.context.profile.name
        with self._mutex:
            before = self._failure
            pause = rotation.pause or (math.inf if isinstance(error, LoginRequired) else STORE_PAUSE)
            self._failure = _Failure(error, self.context.clock.elapsed() + pause)
            if before is None or isinstance(before.error, LoginRequired) != isinstance(error, LoginRequired):
                log.info("not renewed: %s", error)  # once for each state: subscribers hear of every attempt
            if isinstance(error, LoginRequired):
                if before is None or before.error.message != error.message:
                    self._events.append(SignInNeeded(profile=self.context.profile.name, reason=str(error)))
            else:
                self._events.append(RenewalFailed(profile=self.context.profile.name, error=str(error), retry_in=pause))
            self._update_deadlines()

    # --- what a rotation does to memory -----------------------------------------------------------------------

    def publish(self, credential: Credential, generation: int, *, elsewhere: bool) -> Credential:
        """Serve `credential` from now on; return it as it is served.

        Its `generation` is 0 if it is not stored. If it was read from the store, having been saved `elsewhere`, and
        memory was faster, what memory holds stays.
        """
        with self._mutex:
            before = self.held
            if elsewhere and before is not None and generation <= before.generation:
                return before.credential
            served = evolve(credential, lead=self.context.lead(credential), clock=self.context.clock)
            jitter = expiry.jitter(served.lifetime, self.context.random()) if served.lifetime is not None else 0.0
            if self._failure is not None:
                log.info("%s: there is a newer credential again", self.context.profile.name)
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
        """Let those who wait for this rotation have `credential` although the rotation goes on."""
        with self._mutex:
            future = self._future
        if future is not None:
            future.set_result(credential)

    def emit(self, event: Event) -> None:
        """Tell subscribers, what was noted before first."""
        with self._mutex:
            self._events.append(event)
        self.announce()

    def announce(self) -> None:
        """Tell subscribers what was noted, and the timer that deadlines changed; callers have their answer by now."""
        with self._mutex:
            events, self._events = self._events, []
        self._wake()
        for event in events:
            self._emit(event)

    # --- time ---------------------------------------------------------------------------------------------------

    def tick(self) -> float:
        """Look at the clocks, start a renewal that is due, and return the seconds until the next look."""
        with self._mutex:
            if self.held is None:
                return math.inf
            self._update_deadlines()
            refresh_at = max(self.held.refresh_at, self._failure.retry_at if self._failure is not None else 0.0)
            wait = refresh_at - self.context.clock.elapsed()
            if wait > 0:
                return wait
            if self.held.credential.lifetime is None:
                return math.inf  # its source is asked again when somebody asks for it
            if self._renewable(self.held.credential) and self._future is None:
                self._renew_in_background(by_timer=True)
            return math.inf  # the end of a renewal wakes the timer

    def _update_deadlines(self) -> None:
        """Fold both clocks into the deadlines of what is held, and show the result to `Keeper.get`."""
        held = self.held
        if held is None:
            return
        credential, now = held.credential, self.context.clock.now()
        left = expiry.seconds_left(credential.obtained, credential.lifetime, now)
        early = 0.0
        if credential.lifetime is not None:
            early = held.jitter + expiry.effective_lead(credential.lifetime, credential.lead)
            early = min(early, max(0.0, credential.lifetime - attempt_floor(credential.lifetime)))
        due = min(
            expiry.seconds_until_due(credential.obtained, credential.lifetime, early, now),
            expiry.seconds_until_recheck(credential.obtained, credential.recheck_after, now),
        )
        refresh_at = now.elapsed + (due if self._renewable(credential) else left)
        if self._failure is not None:
            refresh_at = max(refresh_at, self._failure.retry_at)
        self._hold(evolve(held, refresh_at=min(refresh_at, now.elapsed + left), expires_at=now.elapsed + left))

    def _hold(self, held: CacheEntry) -> None:
        self.held = held
        self._publish(held)

    def _renewable(self, credential: Credential) -> bool:
        """Whether a rotation could bring a newer one without a person."""
        source = self.context.description.source(credential.source)
        return credential.renewable or (source is not None and not (source.owned and source.interactive))

    # --- other processes ----------------------------------------------------------------------------------------

    @property
    def wants_changes(self) -> bool:
        """Whether another process's renewal may end this process's credential, so that changes matter."""
        held = self.held  # asked without the lock
        return self.context.description.single_use and held is not None and held.generation > 0

    def on_change(self) -> None:
        """Some profile changed: if it was this one, read what another process saved."""
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
        """Serve what another process saved; if it cannot be read, the next renewal will say so."""
        try:
            rotation.adopt_stored()
        except Exception as error:  # noqa: BLE001  nobody waits for this look
            log.debug("%s: not read: %s", self.context.profile.name, describe_raise(error))
        finally:
            with self._mutex:
                self._looking = False
            self._finish()
            future.set_result(None)

    def _finish(self) -> None:
        """End a renewal or a look: events go out, deadlines are told, and a change that came meanwhile is looked at."""
        with self._mutex:
            changed, self._changed = self._changed, False
        self.announce()
        if changed:
            self.on_change()
