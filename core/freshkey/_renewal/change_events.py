"""The events that subscribers receive when the credential in memory changes, or when an attempt fails."""

from __future__ import annotations

from collections.abc import Iterator

from freshkey._renewal.failure import Failure
from freshkey.errors import LoginRequired
from freshkey.events import AccountChanged, Event, Obtained, RenewalFailed, Renewed, SignInNeeded, SourceChanged
from freshkey.model.credential import Credential


def after_publishing(
    profile: str, before: Credential | None, served: Credential, generation: int, *, elsewhere: bool
) -> Iterator[Event]:
    """Yield the events for a credential that replaces `before`; `elsewhere` if another process obtained it."""
    came_from = before.source if before is not None else None
    if came_from not in (None, served.source):
        yield SourceChanged(profile=profile, before=came_from, after=served.source)
    if came_from != served.source:
        yield Obtained(profile=profile, source=served.source, expires_at=served.expires_at)
    else:
        yield Renewed(profile=profile, generation=generation, expires_at=served.expires_at, elsewhere=elsewhere)
    if before is not None and served.identity.differs_from(before.identity):
        yield AccountChanged(profile=profile, before=before.identity, after=served.identity)


def after_failing(profile: str, before: Failure | None, failure: Failure, now: float) -> Event | None:
    """Return the event for a failed attempt at `now`, in elapsed seconds; None if the user was told that before."""
    error = failure.error
    if not isinstance(error, LoginRequired):
        return RenewalFailed(profile=profile, error=str(error), code=error.code, retry_in=failure.retry_at - now)
    # What is only probable is found again and again, each time in other words: they have the server's request ID.
    told = before.error if before is not None else None
    if (
        told is not None
        and told.code == error.code
        and (told.message == error.message or error.retry_after is not None)
    ):
        return None
    return SignInNeeded(profile=profile, reason=str(error), code=error.code)
