"""The credential of one profile in memory: what `Keeper.get` returns at once, until when, and the events about it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress

from attrs import define, evolve, field

from freshkey import expiry
from freshkey._renewal.change_events import after_publishing
from freshkey._renewal.context import ProfileContext
from freshkey._renewal.deadlines import CacheEntry, with_deadlines
from freshkey._renewal.failure import Failure
from freshkey._renewal.single_flight import SharedFuture, run_in_thread
from freshkey.errors import FreshkeyError, TransientError
from freshkey.events import Event, SignedOut, SignInEnding
from freshkey.model.credential import Credential
from freshkey.model.sign_in_end import EndWarning


log = logging.getLogger(__name__)


@define(eq=False, slots=False)
class ServedCredential:
    """The credential of one profile that this process holds.

    Attributes:
        context: Everything about the profile.
        publish: Puts a cache entry where `Keeper.get` finds it; None removes it.
        emit: Passes an event to subscribers.
        wake: Wakes the scheduler after a deadline changed.
        held: The credential in memory with its deadlines, or None.
    """

    context: ProfileContext
    _publish: Callable[[CacheEntry | None], None] = field(kw_only=True)
    _emit: Callable[[Event], None] = field(kw_only=True)
    _wake: Callable[[], None] = field(kw_only=True)
    held: CacheEntry | None = field(init=False, default=None)
    _failure: Failure | None = field(init=False, default=None)
    _replacement: Credential | None = field(init=False, default=None)  # has replaced another one: it was new then
    _refused: Credential | None = field(init=False, default=None)  # by a server, and not replaced since
    _events: list[Event] = field(init=False, factory=list)
    _end_warning: EndWarning = field(init=False, factory=EndWarning)

    def __attrs_post_init__(self) -> None:
        self.forget_threads()

    def forget_threads(self) -> None:
        """Start with a fresh lock: in a forked child, the parent's threads do not exist."""
        self._mutex = threading.RLock()

    @property
    def last_error(self) -> FreshkeyError | None:
        """What the last attempt of this process failed with; None if it succeeded."""
        failure = self._failure
        return failure.error if failure is not None else None

    def has_ended(self, credential: Credential) -> bool:
        """Return whether a credential that a caller waited for has ended meanwhile, by either clock."""
        now = self.context.clock.now()
        return expiry.seconds_left_by_either(credential.obtained, credential.lifetime, now) <= 0

    def lasts(self, credential: Credential, min_ttl: float) -> bool:
        """Whether it lasts for `min_ttl` seconds, or else as long as a new one of its source does.

        One that freshkey obtained is renewed in time. One of another tool may be old when it is read, and then only a
        second look tells: if the source still has the same one, a new one might last longer.
        See docs/decisions.md, "`min_ttl` is an error if another tool's credential ends too soon".
        """
        left = expiry.seconds_left(credential.obtained, credential.lifetime, self.context.clock.now())
        source = self.context.description.source(credential.source)
        with self._mutex:
            return left >= min_ttl or source is None or source.owned or credential is self._replacement

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
                log.info("%s: renewed again after a failure", self.context.profile.label)
            self._failure = None
            if before is not None and not served.authorizes_like(before.credential):
                self._replacement = served
            if self._refused is not None and not served.authorizes_like(self._refused):
                self._refused = None
            self.held = CacheEntry(served, generation, jitter)
            self._update_deadlines()
            replaced = before.credential if before is not None else None
            name = self.context.profile.name
            self._events += after_publishing(name, replaced, served, generation, elsewhere=elsewhere)
        return served

    def drop(self, event: SignedOut) -> None:
        """Serve nothing from now on."""
        with self._mutex:
            self.held = None
            self._failure = None
            self._publish(None)
            self._events.append(event)

    def forget(self) -> None:
        """Hold no credential in memory: the next caller gets that of the source that wins then."""
        with self._mutex:
            self.held = None
            self._publish(None)

    def emit(self, event: Event) -> None:
        """Send `event` to subscribers, after the events that are still queued."""
        with self._mutex:
            self._events.append(event)

        # On another thread, because the caller goes on saving a credential while a subscriber may hang.
        def announce(future: SharedFuture[None]) -> None:
            self.announce()
            future.set_result(None)

        with suppress(TransientError):
            run_in_thread(f"events {self.context.profile.name}", announce)

    def announce(self) -> None:
        """Send queued events, and wake the timer to read new deadlines; callers already have their result."""
        with self._mutex:
            events, self._events = self._events, []
        self._wake()
        for event in events:
            self._emit(event)

    def warn_of_end(self) -> None:
        """Tell subscribers once that the sign-in ends soon."""
        with self._mutex:
            held, failing = self.held, self._failure is not None
        if held is None or self.context.is_automatic(held.credential):
            return
        ends_at = self._end_warning.due(held.credential, self.context.clock.now(), failing=failing)
        if ends_at is not None:
            self._emit(SignInEnding(profile=self.context.profile.name, ends_at=ends_at))

    def _update_deadlines(self) -> None:
        """Compute deadlines from both clocks, and publish them to `Keeper.get`, which reads only elapsed time."""
        held = self.held
        if held is None:
            return
        renewable, failure = self.context.renews(held.credential), self._failure
        paused_until = failure.retry_at if failure is not None else None
        self._hold(with_deadlines(held, self.context.clock.now(), renewable=renewable, paused_until=paused_until))

    def _hold(self, held: CacheEntry) -> None:
        self.held = held
        self._publish(held)
