"""Whether a credential is fresh, due or expired: tables, and properties for generated times (TIM-1, TIM-3, TIM-4)."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from freshkey import expiry
from freshkey.clock import Moment
from freshkey.expiry import Freshness
from freshkey_testing import ManualClock


HOUR = 3600.0
OBTAINED = Moment(1_000_000.0, 5_000.0, "boot-1")

lifetimes = st.floats(min_value=1.0, max_value=10 * 365 * 86_400.0)
shares = st.floats(min_value=0.0, max_value=1.0)
seconds = st.floats(min_value=-1e6, max_value=1e8)


def later(passed: float, *, wall_step: float = 0.0, boot: str = "boot-1") -> Moment:
    return Moment(OBTAINED.wall + passed + wall_step, OBTAINED.elapsed + passed, boot)


# --- lead, jitter --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lifetime", "lead"),
    [(8 * HOUR, 300.0), (HOUR, 300.0), (1500.0, 300.0), (1000.0, 200.0), (60.0, 12.0), (10.0, 2.0)],
)
def test_the_default_lead_is_five_minutes_or_a_fifth(lifetime: float, lead: float) -> None:  # TIM-3
    assert expiry.default_lead(lifetime) == pytest.approx(lead)
    assert expiry.effective_lead(lifetime, None) == pytest.approx(lead)


@pytest.mark.parametrize(
    ("lifetime", "asked", "lead"), [(HOUR, 600.0, 600.0), (HOUR, 7200.0, 1800.0), (10.0, 300.0, 5.0), (HOUR, -5, 0.0)]
)
def test_an_explicit_lead_never_takes_more_than_half(lifetime: float, asked: float, lead: float) -> None:
    assert expiry.effective_lead(lifetime, asked) == lead


@given(lifetimes, st.none() | st.floats(min_value=0.001, max_value=1e9))
def test_the_lead_lies_within_the_lifetime(lifetime: float, asked: float | None) -> None:  # TIM-3
    assert 0 < expiry.effective_lead(lifetime, asked) < lifetime


@given(lifetimes, shares)
def test_jitter_is_at_most_half_a_minute_and_a_twentieth(lifetime: float, share: float) -> None:  # TIM-3
    assert 0 <= expiry.jitter(lifetime, share) <= min(30.0, 0.05 * lifetime)
    assert expiry.jitter(lifetime, 1.0) == pytest.approx(min(30.0, 0.05 * lifetime))
    assert expiry.jitter(lifetime, 0.0) == 0


@given(lifetimes, st.none() | st.floats(min_value=0.0, max_value=1e9), shares)
def test_a_new_credential_is_never_due(lifetime: float, asked: float | None, share: float) -> None:  # TIM-4
    early = expiry.effective_lead(lifetime, asked) + expiry.jitter(lifetime, share)
    assert expiry.freshness(OBTAINED, lifetime, early, OBTAINED) is Freshness.FRESH


# --- fresh, due, expired ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("passed", "expected"),
    [
        (0.0, Freshness.FRESH),
        (3299.9, Freshness.FRESH),
        (3300.0, Freshness.DUE),
        (3599.9, Freshness.DUE),
        (3600.0, Freshness.EXPIRED),
        (1e9, Freshness.EXPIRED),
    ],
)
def test_freshness_of_an_hour_with_five_minutes_of_lead(passed: float, expected: Freshness) -> None:
    assert expiry.freshness(OBTAINED, HOUR, 300.0, later(passed)) is expected


@given(seconds, seconds)
def test_credential_without_expiry_stays_fresh(passed: float, step: float) -> None:
    now = later(passed, wall_step=step)
    assert expiry.freshness(OBTAINED, None, 0.0, now) is Freshness.FRESH
    assert expiry.seconds_left(OBTAINED, None, now) == math.inf


@given(lifetimes, shares, st.lists(st.floats(min_value=0.0, max_value=1e9), min_size=2))
def test_freshness_only_gets_worse(lifetime: float, share: float, times: list[float]) -> None:
    early = expiry.default_lead(lifetime) + expiry.jitter(lifetime, share)
    order = list(Freshness)
    seen = [order.index(expiry.freshness(OBTAINED, lifetime, early, later(passed))) for passed in sorted(times)]
    assert seen == sorted(seen)


@given(lifetimes, st.floats(min_value=0.0, max_value=1e8), seconds)
def test_within_one_boot_only_elapsed_time_ends_it(lifetime: float, passed: float, step: float) -> None:  # TIM-1
    now = later(passed, wall_step=step)
    assert expiry.seconds_left(OBTAINED, lifetime, now) == pytest.approx(lifetime - passed, abs=1e-3)
    ended = expiry.freshness(OBTAINED, lifetime, 0.0, now) is Freshness.EXPIRED
    assert ended is (now.elapsed >= OBTAINED.elapsed + lifetime)


@given(lifetimes, st.floats(min_value=0.0, max_value=1e8), seconds)
def test_it_is_due_by_whichever_clock_is_first(lifetime: float, passed: float, step: float) -> None:  # TIM-1
    now = later(passed, wall_step=step)
    first = lifetime - passed - max(step, 0.0)
    assert expiry.seconds_left_by_either(OBTAINED, lifetime, now) == pytest.approx(first, abs=1e-3)
    assert expiry.seconds_until_due(OBTAINED, lifetime, 0.5, now) == pytest.approx(first - 0.5, abs=1e-3)


@pytest.mark.parametrize(("passed", "left"), [(3599.0, 1.0), (3600.0, 0.0), (-10.0, 3610.0)])
def test_after_a_reboot_the_wall_clock_ends_it(passed: float, left: float) -> None:  # TIM-1
    now = Moment(OBTAINED.wall + passed, 1e9, "boot-2")
    assert expiry.seconds_left(OBTAINED, HOUR, now) == expiry.seconds_left_by_either(OBTAINED, HOUR, now) == left
    assert expiry.seconds_left(OBTAINED, None, now) == math.inf


def test_wall_clock_set_back_does_not_extend_the_lifetime() -> None:  # TIM-1
    now = later(HOUR, wall_step=-86_400.0)
    assert expiry.freshness(OBTAINED, HOUR, 300.0, now) is Freshness.EXPIRED


@pytest.mark.parametrize("step", [HOUR, 2 * HOUR, 75 * 365 * 86_400.0])
def test_wall_clock_set_forward_makes_it_due(step: float) -> None:  # TIM-1
    assert expiry.freshness(OBTAINED, HOUR, 300.0, later(60.0, wall_step=step)) is Freshness.DUE


def test_suspended_time_counts() -> None:  # TIM-2
    clock = ManualClock()
    obtained = clock.now()
    clock.suspend(3400.0)
    assert expiry.freshness(obtained, HOUR, 300.0, clock.now()) is Freshness.DUE


@given(lifetimes, st.floats(min_value=-50.0, max_value=1e8), seconds)
def test_after_a_reboot_the_wall_clock_decides(lifetime: float, passed: float, elapsed: float) -> None:  # TIM-1
    now = Moment(OBTAINED.wall + passed, elapsed, "boot-2")
    assert expiry.seconds_left(OBTAINED, lifetime, now) == pytest.approx(lifetime - passed, abs=1e-3)


@pytest.mark.parametrize(
    ("passed", "boot", "expected"),
    [
        (-60.0, "boot-2", Freshness.FRESH),
        (-61.0, "boot-2", Freshness.DUE),
        (-1e6, "boot-2", Freshness.DUE),
    ],
)
def test_wall_clock_earlier_than_obtained_means_due(passed: float, boot: str, expected: Freshness) -> None:  # TIM-1
    now = Moment(OBTAINED.wall + passed, 3.0, boot)
    assert expiry.wall_clock_is_wrong(OBTAINED, now) is (expected is Freshness.DUE)
    assert expiry.freshness(OBTAINED, HOUR, 300.0, now) is expected


def test_wall_clock_set_back_is_ignored_within_one_boot() -> None:  # TIM-1
    now = later(10.0, wall_step=-1e6)
    assert not expiry.wall_clock_is_wrong(OBTAINED, now)
    assert expiry.seconds_until_due(OBTAINED, HOUR, 300.0, now) == HOUR - 300.0 - 10.0


@given(lifetimes, shares, st.floats(min_value=0.0, max_value=1e8))
def test_it_is_due_after_seconds_until_due(lifetime: float, share: float, passed: float) -> None:
    early = expiry.default_lead(lifetime) + expiry.jitter(lifetime, share)
    wait = expiry.seconds_until_due(OBTAINED, lifetime, early, later(passed))
    assume(wait > 0)
    assert expiry.freshness(OBTAINED, lifetime, early, later(passed + wait + 1e-3)) is not Freshness.FRESH
    assert expiry.freshness(OBTAINED, lifetime, early, later(passed + wait / 2)) is Freshness.FRESH


def test_age_uses_elapsed_time_and_after_a_reboot_the_wall_clock() -> None:  # TIM-1
    assert expiry.seconds_since(OBTAINED, later(40.0, wall_step=-86_400.0)) == 40.0
    assert expiry.seconds_since(OBTAINED, Moment(OBTAINED.wall + 40.0, 3.0, "boot-2")) == 40.0


# --- waking and rechecking -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("waits", "sleep"), [([], 30.0), ([5.0, 2.0], 2.0), ([1e10], 30.0), ([math.inf], 30.0), ([-4.0, 9.0], 0.0)]
)
def test_timer_sleeps_until_the_first_deadline_and_at_most_half_a_minute(
    waits: list[float], sleep: float
) -> None:  # TIM-2
    assert expiry.next_wake(waits, 30.0) == sleep


def test_credential_without_expiry_is_rechecked() -> None:
    obtained = Moment(wall=1000.0, elapsed=50.0, boot_id="a")
    assert expiry.seconds_until_recheck(obtained, None, obtained) == math.inf
    assert expiry.seconds_until_recheck(obtained, 300.0, Moment(wall=9.0, elapsed=150.0, boot_id="a")) == 200.0
    assert expiry.seconds_until_recheck(obtained, 300.0, Moment(wall=1400.0, elapsed=1.0, boot_id="b")) == -100.0
