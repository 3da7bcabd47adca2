"""When a sign-in itself ends, after which nothing renews it: carried across renewals, and when to warn of it."""

from __future__ import annotations

from datetime import datetime
from typing import Final, TypeVar

from attrs import define, evolve

from freshkey import expiry
from freshkey.clock import Moment
from freshkey.model.credential import Credential


C = TypeVar("C", bound=Credential)

WARNING: Final = 3 * 86_400.0
"""Seconds before a sign-in ends at which the user is warned."""

WARNING_SHARE: Final = 0.2
"""For a shorter sign-in: the user is warned when this fraction of it is left."""

TOLERANCE: Final = 60.0
TOLERANCE_SHARE: Final = 0.1
"""Two responses may state the same end with a difference of that many seconds, or that fraction of the sign-in."""


def carried_over(before: Credential, newer: C) -> C:
    """Return a renewed credential with what is known about its latest end, and about the end of its sign-in.

    A response that states no end, and leaves the refresh token as it was, leaves the end as it was, too.
    """
    if newer.ends_at_latest is None and before.ends_at_latest is not None:
        newer = evolve(newer, ends_at_latest=before.ends_at_latest)
    same = newer.renewal_secret is not None and newer.renewal_secret == before.renewal_secret
    if newer.renewable_for is None and before.renewable_for is not None and same:
        left = expiry.seconds_left(before.obtained, before.renewable_for, newer.obtained)
        newer = evolve(newer, renewable_for=max(0.0, left))
    if before.sign_in_lasts is None or newer.sign_in_lasts is None:
        return newer
    term = before.sign_in_term or before.sign_in_lasts
    return evolve(newer, sign_in_term=None if ends_later(before, newer) else term)


def ends_later(before: Credential, newer: Credential) -> bool:
    """Return whether the sign-in of `newer` ends later than that of `before` did."""
    if newer.sign_in_lasts is None or before.sign_in_lasts is None:
        return False
    left = expiry.seconds_left(before.obtained, before.sign_in_lasts, newer.obtained)
    term = before.sign_in_term or before.sign_in_lasts
    return newer.sign_in_lasts - left > min(TOLERANCE, TOLERANCE_SHARE * term)


def ends_soon(credential: Credential, now: Moment, *, failing: bool) -> bool:
    """Return whether to warn that the sign-in of `credential` ends.

    A server may move the end with each renewal. So there is a warning only if a renewal did not move it, if renewals
    fail, or if there will be none (`Credential.ends_for_good`).

    Args:
        credential: The credential.
        now: The time.
        failing: Whether the last attempt to renew it failed.
    """
    lasts = credential.sign_in_lasts
    if lasts is None or not (credential.sign_in_term is not None or credential.ends_for_good or failing):
        return False
    term = credential.sign_in_term or lasts
    left = expiry.seconds_left(credential.obtained, lasts, now)
    return 0 < left <= min(WARNING, WARNING_SHARE * term)


@define
class EndWarning:
    """Warns once of each end."""

    _warned_of: Credential | None = None

    def due(self, credential: Credential, now: Moment, *, failing: bool) -> datetime | None:
        """Return when the sign-in ends if the warning is due now, otherwise None; see `ends_soon`."""
        if self._warned_of is not None and not ends_later(self._warned_of, credential):
            return None
        if not ends_soon(credential, now, failing=failing):
            return None
        self._warned_of = credential
        return credential.sign_in_ends_at
