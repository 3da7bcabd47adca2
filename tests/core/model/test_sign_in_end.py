"""The end of a sign-in: what a renewal keeps of it, and when to warn."""

from __future__ import annotations

from datetime import timedelta

import pytest
from attrs import evolve

from freshkey.model.credential import OAuthToken
from freshkey.model.sign_in_end import carried_over, ends_later, ends_soon
from freshkey.secret import Secret
from freshkey_testing import ManualClock


DAY = 86_400.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def token(clock: ManualClock, renewable_for: float | None = None, refresh_token: str = "rt") -> OAuthToken:
    return OAuthToken(
        obtained=clock.now(),
        lifetime=8 * 3600.0,
        renewable_for=renewable_for,
        access_token=Secret("at"),
        refresh_token=Secret(refresh_token),
    )


def test_response_without_an_end_keeps_it_with_the_same_refresh_token(clock: ManualClock) -> None:
    first = token(clock, 30 * DAY)
    clock.advance(DAY)
    newer = carried_over(first, token(clock))
    assert (newer.renewable_for, newer.sign_in_term) == (29 * DAY, 30 * DAY)
    assert newer.sign_in_ends_at == first.sign_in_ends_at
    clock.reboot(DAY)
    last = carried_over(newer, token(clock))
    assert (last.renewable_for, last.sign_in_term) == (28 * DAY, 30 * DAY)
    clock.advance(40 * DAY)
    assert carried_over(last, token(clock)).renewable_for == 0


@pytest.mark.parametrize("stated", [None, 30 * DAY])
def test_new_refresh_token_has_an_end_of_its_own(clock: ManualClock, stated: float | None) -> None:
    first = token(clock, 30 * DAY)
    clock.advance(DAY)
    newer = carried_over(first, token(clock, stated, "rt-2"))
    assert (newer.renewable_for, newer.sign_in_term) == (stated, None)


@pytest.mark.parametrize("error", [-20.0, 0.0, 20.0])
def test_end_that_does_not_move_is_recognized(clock: ManualClock, error: float) -> None:
    first = token(clock, 30 * DAY)
    clock.advance(DAY)
    newer = carried_over(first, token(clock, 29 * DAY + error, "rt-2"))
    assert (newer.renewable_for, newer.sign_in_term) == (29 * DAY + error, 30 * DAY)
    assert not ends_later(first, newer)


def test_end_that_moves_is_recognized(clock: ManualClock) -> None:
    first = token(clock, 60.0)
    clock.advance(50)
    assert ends_later(first, token(clock, 60.0))
    assert not ends_later(first, token(clock))
    assert carried_over(first, token(clock, 60.0)).sign_in_term is None


def test_nothing_is_known_of_other_sign_ins(clock: ManualClock) -> None:
    newer = token(clock)
    assert carried_over(token(clock), newer) is newer


def test_latest_end_that_a_renewal_does_not_move_is_the_end_of_the_sign_in(clock: ManualClock) -> None:
    latest = clock.now().utc + timedelta(days=30)
    first = evolve(token(clock), ends_at_latest=latest)
    assert not ends_soon(first, clock.now(), failing=False)
    clock.advance(DAY)
    newer = carried_over(first, token(clock, refresh_token="rt-2"))
    assert (newer.sign_in_term, newer.sign_in_ends_at) == (30 * DAY, latest)
    clock.advance(26 * DAY)
    assert ends_soon(newer, clock.now(), failing=False)
    moved = carried_over(newer, evolve(token(clock), ends_at_latest=latest + timedelta(days=10)))
    assert moved.sign_in_term is None
    assert not ends_soon(moved, clock.now(), failing=False)


def test_first_credential_that_is_the_last_one_is_warned_of(clock: ManualClock) -> None:
    credential = evolve(token(clock), ends_at_latest=clock.now().utc + timedelta(hours=1))
    assert not ends_soon(credential, clock.now(), failing=False)
    clock.advance(2880)
    assert ends_soon(credential, clock.now(), failing=False)


@pytest.mark.parametrize(("term", "warned_at"), [(30 * DAY, 3 * DAY), (10 * DAY, 2 * DAY), (3600.0, 720.0)])
def test_warning_comes_three_days_before_or_for_the_last_fifth(
    clock: ManualClock, term: float, warned_at: float
) -> None:
    credential = evolve(token(clock, warned_at + 1), sign_in_term=term)
    assert not ends_soon(credential, clock.now(), failing=False)
    clock.advance(1)
    assert ends_soon(credential, clock.now(), failing=False)
    clock.advance(warned_at)
    assert not ends_soon(credential, clock.now(), failing=False), "it has ended"


def test_end_that_may_still_move_is_no_reason_to_warn_unless_renewals_fail(clock: ManualClock) -> None:
    credential = token(clock, 1800.0)
    clock.advance(1500)
    assert not ends_soon(credential, clock.now(), failing=False)
    assert ends_soon(credential, clock.now(), failing=True)
    assert not ends_soon(token(clock), clock.now(), failing=True)
