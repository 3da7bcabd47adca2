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
    left = expiry.seconds_left(before.obtained, before.renewable_for, newer.obtained)
    if before.renewable_for is None:
        return newer
    if newer.renewable_for is None:
        if newer.renewal_secret is None or newer.renewal_secret != before.renewal_secret:
            return newer
        newer = evolve(newer, renewable_for=max(0.0, left))
    term = before.sign_in_term or before.renewable_for
    return evolve(newer, sign_in_term=None if _moved(newer, left, term) else term)


def _moved(newer: Credential, left: float, term: float) -> bool:
    stated = newer.renewable_for or 0.0
    return stated - left > min(TOLERANCE, TOLERANCE_SHARE * term)


def ends_later(before: Credential, newer: Credential) -> bool:
    """Return whether the sign-in of `newer` ends later than that of `before` did."""
    if newer.renewable_for is None or before.renewable_for is None:
        return False
    left = expiry.seconds_left(before.obtained, before.renewable_for, newer.obtained)
    return _moved(newer, left, before.sign_in_term or before.renewable_for)


def ends_soon(credential: Credential, now: Moment, *, failing: bool) -> bool:
    """Return whether to warn that the sign-in of `credential` ends.

    A server may move the end with each renewal. So there is a warning only if a renewal did not move it, or if
    renewals fail.

    Args:
        credential: The credential.
        now: The time.
        failing: Whether the last attempt to renew it failed.
    """
    if credential.renewable_for is None or (credential.sign_in_term is None and not failing):
        return False
    term = credential.sign_in_term or credential.renewable_for
    left = expiry.seconds_left(credential.obtained, credential.renewable_for, now)
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
