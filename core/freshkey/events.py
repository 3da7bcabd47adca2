"""Events, as frozen values without secrets, and the subscribers that `Keeper.subscribe` adds."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from attrs import frozen

from freshkey.errors import describe_raise
from freshkey.model.identity import Identity


log = logging.getLogger(__name__)


@frozen(kw_only=True)
class Event:
    """Something happened to a profile.

    Attributes:
        profile: Name of the profile.
        account: Which of the profile's accounts it happened to; None if the application has only one.
    """

    profile: str
    account: str | None = None


@frozen(kw_only=True)
class Obtained(Event):
    """A credential was obtained other than by renewal: from a sign-in, or from another tool.

    Attributes:
        source: ID of the source it came from.
        expires_at: When it expires, aware UTC, or None.
    """

    source: str
    expires_at: datetime | None


@frozen(kw_only=True)
class Renewed(Event):
    """A newer credential is in memory.

    Attributes:
        generation: Its generation in the store; 0 for one that is not stored.
        expires_at: When it expires, aware UTC, or None.
        elsewhere: Whether another process renewed it and this one read it from the store.
    """

    generation: int
    expires_at: datetime | None
    elsewhere: bool = False


@frozen(kw_only=True)
class RenewalFailed(Event):
    """A renewal failed; the credential in memory remains in use until it expires.

    Attributes:
        error: The error message.
        code: Its `FreshkeyError.code`.
        retry_in: Minimum seconds until the next attempt.
    """

    error: str
    code: str
    retry_in: float


@frozen(kw_only=True)
class SignInNeeded(Event):
    """The user must sign in again before this profile can be renewed; emitted once.

    Attributes:
        reason: The error message.
        code: Its `FreshkeyError.code`.
    """

    reason: str
    code: str


@frozen(kw_only=True)
class SignInEnding(Event):
    """The sign-in ends soon, and renewals do not prolong it; emitted once, up to three days before.

    Attributes:
        ends_at: When it ends, aware UTC. The user should sign in again before that.
    """

    ends_at: datetime


@frozen(kw_only=True)
class SourceChanged(Event):
    """The credential in use comes from a different source than before; anything cached for the old one may be wrong.

    Attributes:
        before: ID of the source it came from.
        after: ID of the source it comes from now.
    """

    before: str
    after: str


@frozen(kw_only=True)
class AccountChanged(Event):
    """The credential in use belongs to a different account than before.

    Attributes:
        before: The account it belonged to.
        after: The account it belongs to now.
    """

    before: Identity
    after: Identity


@frozen(kw_only=True)
class SignedOut(Event):
    """The owned credential of a profile was removed.

    Attributes:
        revoked: True if the provider confirmed the revocation; False if it could not be revoked; None if there was
            nothing to revoke, the provider cannot revoke, or another process signed out.
        detail: A short text for the user.
    """

    revoked: bool | None
    detail: str


@frozen(kw_only=True)
class Unsaved(Event):
    """A renewed credential is in use but could not be saved yet; freshkey keeps trying.

    Attributes:
        error: The error message of the store.
        code: Its `FreshkeyError.code`.
    """

    error: str
    code: str


@frozen(kw_only=True)
class ObserverFailed(Event):
    """An observer raised after its ``yield``; the exception was dropped, and the hook's result is unaffected.

    Attributes:
        observer: Name of the observer.
        hook: The hook it wrapped.
        error: Name of the exception class.
    """

    observer: str
    hook: str
    error: str


class Subscribers:
    """The callbacks that receive events; one that raises affects neither the others nor the operation."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[Event], None]] = []

    def add(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Call `callback` with every event from now on; return a function that stops that."""
        self._callbacks.append(callback)

        def remove() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return remove

    def tell(self, event: Event) -> None:
        """Call every callback with `event`, on this thread."""
        for callback in tuple(self._callbacks):
            try:
                callback(event)
            except Exception as error:  # noqa: BLE001  a bug in a subscriber must not affect the keeper
                log.warning("an event subscriber raised %s", describe_raise(error))
