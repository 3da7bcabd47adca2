"""What happened, as frozen values without secrets, and how `Keeper.subscribe` callbacks are told of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from attrs import frozen

from freshkey.errors import describe_raise
from freshkey.model.identity import Identity


log = logging.getLogger("freshkey")


@frozen(kw_only=True)
class Event:
    """Something happened to a profile.

    Attributes:
        profile: Name of the profile.
    """

    profile: str


@frozen(kw_only=True)
class Obtained(Event):
    """A credential came that did not come from a renewal: a sign-in, or another tool's.

    Attributes:
        source: Id of the source it came from.
        expires_at: Its hard end, aware UTC, or None.
    """

    source: str
    expires_at: datetime | None


@frozen(kw_only=True)
class Renewed(Event):
    """A newer credential is in memory.

    Attributes:
        generation: Its generation in the store; 0 for one that is not stored.
        expires_at: Its hard end, aware UTC, or None.
        elsewhere: Another process renewed it, and it was read from the store.
    """

    generation: int
    expires_at: datetime | None
    elsewhere: bool = False


@frozen(kw_only=True)
class RenewalFailed(Event):
    """An attempt failed; the credential in memory is served until its own end.

    Attributes:
        error: What went wrong.
        retry_in: Seconds until the next attempt at the earliest.
    """

    error: str
    retry_in: float


@frozen(kw_only=True)
class SignInNeeded(Event):
    """Only a person can renew this profile; said once.

    Attributes:
        reason: Why.
    """

    reason: str


@frozen(kw_only=True)
class SourceChanged(Event):
    """The credential in use comes from another source than before; what was cached for the old one may not fit.

    Attributes:
        before: Id of the source it came from.
        after: Id of the source it comes from now.
    """

    before: str
    after: str


@frozen(kw_only=True)
class AccountChanged(Event):
    """The credential in use belongs to somebody else than before.

    Attributes:
        before: Whose it was.
        after: Whose it is.
    """

    before: Identity
    after: Identity


@frozen(kw_only=True)
class SignedOut(Event):
    """The owned credential of a profile was removed.

    Attributes:
        revoked: True: the provider confirmed that it is dead; False: it could not be revoked; None: there was
            nothing to revoke, the provider cannot, or another process signed out.
        detail: One sentence for a person.
    """

    revoked: bool | None
    detail: str


@frozen(kw_only=True)
class Unsaved(Event):
    """A renewed credential is in use but could not be stored yet; freshkey goes on trying.

    Attributes:
        error: What the store said.
    """

    error: str


@frozen(kw_only=True)
class ObserverFailed(Event):
    """An observer raised after its ``yield``; its exception was dropped, the answer was not.

    Attributes:
        observer: Name of the observer.
        hook: The hook it wrapped.
        error: Class of what it raised.
    """

    observer: str
    hook: str
    error: str


class Subscribers:
    """Whoever is told of events; one that raises disturbs neither what happened nor the others."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[Event], None]] = []

    def add(self, callback: Callable[[Event], None]) -> Callable[[], None]:
        """Tell `callback` of every event from now on; return what ends that."""
        self._callbacks.append(callback)

        def remove() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return remove

    def tell(self, event: Event) -> None:
        """Call everybody, on this thread."""
        for callback in tuple(self._callbacks):
            try:
                callback(event)
            except Exception as error:  # noqa: BLE001  a subscriber's mistake is not the keeper's
                log.warning("a subscriber raised %s", describe_raise(error))
