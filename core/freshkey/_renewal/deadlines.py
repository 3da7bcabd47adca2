"""When a credential in memory is renewed and until when it is returned: pure arithmetic on both clocks."""

from __future__ import annotations

import math

from attrs import evolve, frozen

from freshkey import expiry
from freshkey._renewal.retry import attempt_floor
from freshkey.clock import Moment
from freshkey.model.credential import Credential


@frozen
class CacheEntry:
    """A credential in memory, with its deadlines on the clock that `Keeper.get` compares.

    Attributes:
        credential: The credential.
        generation: Its generation in the store; 0 for one that is not stored.
        jitter: Random seconds by which this process renews earlier than others.
        refresh_at: Elapsed seconds; from then on `Keeper.get` leaves its fast path.
        expires_at: Elapsed seconds; from then on, one of the clocks says that it has expired.
        withheld_at: Elapsed seconds; from then on it is not returned.
    """

    credential: Credential
    generation: int
    jitter: float
    refresh_at: float = math.inf
    expires_at: float = math.inf
    withheld_at: float = math.inf


def with_deadlines(entry: CacheEntry, now: Moment, *, renewable: bool, paused_until: float | None) -> CacheEntry:
    """Return `entry` with its deadlines as of `now`.

    Args:
        entry: The credential, with the lead that counts.
        now: Reading of both clocks.
        renewable: Whether it can be renewed without the user.
        paused_until: After a failed attempt, the elapsed seconds at which the next one may be made.
    """
    credential = entry.credential
    left = expiry.seconds_left(credential.obtained, credential.lifetime, now)
    soonest, due = left, left
    if renewable:
        due = min(
            seconds_until_due(credential, credential.lead, entry.jitter, now),
            expiry.seconds_until_recheck(credential.obtained, credential.recheck_after, now),
        )
        soonest = expiry.seconds_left_by_either(credential.obtained, credential.lifetime, now)
    refresh_at, expires_at, withheld_at = now.elapsed + due, now.elapsed + soonest, now.elapsed + left
    # While a failure pauses attempts, callers stay on the fast path until the pause or the credential ends.
    if paused_until is not None:
        refresh_at, expires_at = max(refresh_at, paused_until), withheld_at
    refresh_at = min(refresh_at, withheld_at)
    return evolve(entry, refresh_at=refresh_at, expires_at=expires_at, withheld_at=withheld_at)


def seconds_until_due(credential: Credential, lead: float | None, jitter: float, now: Moment) -> float:
    """Return the seconds until a renewal should start; infinite if nothing is known to end.

    Of the credential's own end and that of its sign-in, the earlier one counts, with the lead for the shorter time.
    """
    due = _due(credential.obtained, credential.lifetime, lead, jitter, now)
    if _is_last(credential, lead):
        return due
    return min(due, _due(credential.obtained, credential.renewable_for, lead, jitter, now))


def _due(obtained: Moment, span: float | None, lead: float | None, jitter: float, now: Moment) -> float:
    early = 0.0
    if span is not None:
        early = expiry.effective_lead(span, lead) + min(jitter, expiry.jitter(span, 1.0))
        # Whatever lead and jitter are, a new credential is not renewed before the attempt floor has passed (TIM-4).
        early = min(early, max(0.0, span - attempt_floor(span)))
    return expiry.seconds_until_due(obtained, span, early, now)


def _is_last(credential: Credential, lead: float | None) -> bool:
    """Whether a renewal before the end of the sign-in gains nothing.

    That is so if it was obtained just before that end, and the end does not move; or if the server states an end that
    no renewal could precede, such as 0 for "never", which would cause a loop (TIM-4).
    """
    term = credential.renewable_for
    if term is None or term <= attempt_floor(term):
        return True
    if credential.sign_in_term is None:
        return False
    if credential.lifetime is None:
        return True
    return term <= expiry.effective_lead(credential.lifetime, lead) + expiry.MAX_JITTER
