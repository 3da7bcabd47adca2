"""When to renew and how often to retry, for any lifetime, lead time, randomness and course of events."""

from __future__ import annotations

import math
import threading

from attrs import define, field
from hypothesis import example, given, settings
from hypothesis import strategies as st

from freshkey import expiry
from freshkey._renewal.deadlines import seconds_until_due
from freshkey._renewal.retry import Policy, attempt_floor, call_with_retry, pause_after_failure
from freshkey.clock import Moment, utc_time
from freshkey.errors import (
    ConfigurationError,
    FreshkeyError,
    LoginRequired,
    OutcomeUnknown,
    PluginBroken,
    ProtocolError,
    ProviderRefused,
    StoreBusy,
    TransientError,
)
from freshkey.expiry import Freshness
from freshkey.model.credential import ApiKey
from freshkey.secret import Secret
from promises import proves


FIXED = settings(derandomize=True, database=None, max_examples=300)

OBTAINED = Moment(1_000_000.0, 5_000.0, "boot")
lifetimes = st.floats(60.0, 10 * 366 * 86_400.0)
leads = st.none() | st.floats(0.01, 1e9) | st.sampled_from([1.0, 59.9, 60.0, 300.0])
shares = st.floats(0.0, 1.0)


def refresh_time(lifetime: float, lead: float | None, share: float) -> float:
    """Return when a renewal starts, in seconds after the credential was obtained."""
    early = expiry.effective_lead(lifetime, lead) + expiry.jitter(lifetime, share)
    return expiry.seconds_until_due(OBTAINED, lifetime, early, OBTAINED)


# --- when to renew -------------------------------------------------------------------------------------------------


@proves("FAULT-43", "TIM-3", "TIM-4")
@FIXED
@given(lifetimes, leads, shares)
@example(60.0, 1e9, 1.0)
@example(60.0, 0.01, 0.0)
def test_renewal_starts_within_the_lifetime_and_before_the_lead_time(
    lifetime: float, lead: float | None, share: float
) -> None:
    at = refresh_time(lifetime, lead, share)
    assert 0 < at < lifetime
    latest = lifetime - expiry.effective_lead(lifetime, lead)
    assert latest - min(30.0, 0.05 * lifetime) - 1e-6 <= at <= latest


@proves("FAULT-43", "TIM-3")
@FIXED
@given(lifetimes, lifetimes, leads, shares)
def test_longer_lifetime_is_not_renewed_earlier(one: float, other: float, lead: float | None, share: float) -> None:
    shorter, longer = sorted([one, other])
    assert refresh_time(shorter, lead, share) <= refresh_time(longer, lead, share) + 1e-6


@proves("FAULT-44", "TIM-1")
@FIXED
@given(lifetimes, leads, shares, st.floats(-1e5, 1e9), st.floats(-1e9, 1e9), st.booleans())
def test_nothing_is_fresh_after_it_expired_whatever_the_clocks_say(  # noqa: PLR0917  all that clocks can say
    lifetime: float, lead: float | None, share: float, passed: float, step: float, rebooted: bool
) -> None:
    now = Moment(OBTAINED.wall + passed + step, OBTAINED.elapsed + passed, "next boot" if rebooted else "boot")
    early = expiry.effective_lead(lifetime, lead) + expiry.jitter(lifetime, share)
    found = expiry.freshness(OBTAINED, lifetime, early, now)
    wait = expiry.seconds_until_due(OBTAINED, lifetime, early, now)
    assert math.isfinite(wait)
    assert (found is Freshness.EXPIRED) is (expiry.seconds_left(OBTAINED, lifetime, now) <= 0)
    if found is Freshness.FRESH:
        assert 0 < wait <= lifetime + (60.0 if rebooted else 1e5)
    else:
        assert wait <= 0 or found is Freshness.EXPIRED


@proves("TIM-4")
@FIXED
@given(lifetimes, st.floats(0.1, 20.0), st.floats(0.0, 4.9), leads, shares)
@example(3600.0, 24.0, 0.0, None, 0.0)
@example(3600.0, 1.0, 0.5, None, 1.0)
@example(60.0, 0.1, 4.9, 1e9, 1.0)
def test_each_renewal_before_the_latest_end_moves_the_end(
    lifetime: float, lifetimes_left: float, short: float, lead: float | None, share: float
) -> None:
    """A server that knows the latest end, too, states whole seconds, and counts from when it answers."""
    left = lifetime * lifetimes_left
    now, ends, renewals, held = OBTAINED, 0.0, 0, None
    while held is None or not held.ends_for_good:
        latest = utc_time(OBTAINED.wall + left)
        stated = min(lifetime, max(0.0, latest.timestamp() - now.wall - short))
        held = ApiKey(key=Secret("key"), obtained=now, lifetime=stated, ends_at_latest=latest)
        assert now.elapsed + stated > ends
        ends = now.elapsed + stated
        wait = max(0.0, seconds_until_due(held, lead, share * 30.0, now))
        now, renewals = Moment(now.wall + wait, now.elapsed + wait, now.boot_id), renewals + 1
    assert renewals <= lifetimes_left / 0.4 + 2
    assert OBTAINED.elapsed + left - ends <= 30.0 + 1e-3


# --- retries -------------------------------------------------------------------------------------------------------


@define
class Stage:
    """A clock that waiting moves, and a call with scripted outcomes."""

    outcomes: list[FreshkeyError | None]
    seconds: float
    time: float = 1000.0
    calls: list[tuple[float, float]] = field(factory=list)
    """Start and end of each call."""

    def elapsed(self) -> float:
        return self.time

    def now(self) -> Moment:
        return Moment(self.time, self.time, "boot")

    def wait(self, event: threading.Event, timeout: float) -> bool:
        self.time += timeout
        return event.is_set()

    def call(self) -> str:
        began = self.time
        self.time += self.seconds
        self.calls.append((began, self.time))
        outcome = self.outcomes[len(self.calls) - 1]
        if outcome is None:
            return "token"
        raise outcome


FINAL = [LoginRequired, ProviderRefused, ConfigurationError, PluginBroken, StoreBusy]
outcomes = st.one_of(
    st.none(),
    st.builds(TransientError, st.just("later"), retry_after=st.none() | st.floats(0.0, 3600.0)),
    st.sampled_from([OutcomeUnknown, ProtocolError]).map(lambda kind: kind("lost")),
    st.sampled_from(FINAL).map(lambda kind: kind("final")),
)
policies = st.builds(
    Policy,
    attempts=st.integers(1, 6),
    budget=st.floats(0.0, 200.0),
    base=st.floats(0.0, 5.0),
    cap=st.floats(0.0, 30.0),
    unknown_answers=st.integers(0, 3),
)


@proves("FAULT-33", "NET-2", "NET-3")
@settings(FIXED, max_examples=500)
@given(policies, st.lists(outcomes, min_size=6, max_size=6), st.floats(0.0, 40.0), shares)
def test_only_retryable_errors_are_retried_within_the_budget_and_after_retry_after(
    policy: Policy, course: list[FreshkeyError | None], seconds: float, share: float
) -> None:
    stage = Stage(course, seconds)
    ended: object
    try:
        ended = call_with_retry(stage.call, policy, clock=stage, random=lambda: share, stop=lambda: False)
    except FreshkeyError as error:
        ended = error

    played = course[: len(stage.calls)]
    assert ended is played[-1] or (ended == "token" and played[-1] is None)
    assert len(stage.calls) <= policy.attempts
    assert all(isinstance(failure, TransientError | OutcomeUnknown) for failure in played[:-1])
    assert sum(isinstance(failure, OutcomeUnknown) for failure in played[:-1]) <= policy.unknown_answers
    assert len(stage.calls) == 1 or stage.calls[-1][0] - 1000.0 <= policy.budget + 1e-6
    for failure, (_, failed), (tried_again, _) in zip(played, stage.calls, stage.calls[1:], strict=False):
        pause = tried_again - failed
        asked = getattr(failure, "retry_after", None) or 0.0
        assert asked - 1e-6 <= pause <= max(policy.cap, asked) + 1e-6


@proves("FAULT-33", "NET-3")
@FIXED
@given(st.none() | lifetimes, st.integers(1, 10**6), st.none() | st.floats(0.0, 3600.0), shares)
def test_pause_between_renewals_is_limited_and_at_least_retry_after(
    lifetime: float | None, failures: int, asked: float | None, share: float
) -> None:
    pause = pause_after_failure(lifetime, failures, asked, share)
    assert max(asked or 0.0, attempt_floor(lifetime)) <= pause <= max(60.0, asked or 0.0)
    assert pause <= pause_after_failure(lifetime, failures + 1, asked, share)
